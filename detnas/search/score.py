"""The score H of a detector: accuracy against complexity (paper, 3.1.4)."""

from collections.abc import Sequence
from dataclasses import dataclass

from detnas.records.settings import Resolution
from detnas.schema import Count, Schema


class Scored(Schema):
    """A detector at one resolution.

    Attributes:
        resolution: size of its images.
        map: COCO mAP, an unrounded fraction.
        flops: of one image at this resolution; the score itself takes those at the base's.
        h: the score.
    """

    resolution: Resolution
    map: float
    flops: Count
    h: float


@dataclass(frozen=True, slots=True)
class Objective:
    """What H compares with, and how.

    Attributes:
        base_flops: C_base, of the base detector at the base resolution.
        base_resolution: R_base, the largest resolution of the search.
        alpha: weight of the complexity.
        beta: weight of the resolution within the complexity.
    """

    base_flops: int
    base_resolution: Resolution
    alpha: float
    beta: float

    def h(self, mean_ap: float, flops: int, resolution: Resolution) -> float:
        """H = mAP × [(C / C_base) × (R / R_base)^β]^−α.

        Args:
            mean_ap: mAP at the resolution, as a fraction.
            flops: C, of the detector at the *base* resolution.
            resolution: its pixels are R.
        """
        complexity = flops / self.base_flops
        pixels = resolution.pixels / self.base_resolution.pixels
        return float(mean_ap * (complexity * pixels**self.beta) ** -self.alpha)


def best(scored: Sequence[Scored]) -> Scored:
    """The resolution of highest score; of equals, the first.

    Raises:
        ValueError: there is none.
    """
    return max(scored, key=lambda one: one.h)
