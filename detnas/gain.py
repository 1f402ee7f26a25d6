"""By how much a detector is better than the base, and how certain that is.

Both are scored on the same images, and the bootstrap of both draws the same images, so the
differences between their replicates are those of a paired bootstrap. Its interval covers the choice
of images; it does not cover what another seed of the training would have changed.
"""

from collections.abc import Sequence
from statistics import quantiles

from detnas.records.results import Score
from detnas.schema import Schema

_PARTS = 40
"""The first and the last of as many equal parts lie outside a 95 % interval."""


class Gain(Schema):
    """A difference between two detectors' H, with its paired 95 % interval over the images.

    Attributes:
        h: the difference.
        low: lower end of the interval.
        high: upper end of the interval.
    """

    h: float
    low: float
    high: float

    @property
    def is_distinguishable(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.h:+.4f}, 95 % interval {self.low:+.4f} to {self.high:+.4f}"


def paired_gain(student: Score, h: float, base: Score, base_h: float) -> Gain | None:
    """The gain of a student over the base; None if the replicates of one are unknown.

    Args:
        student: at the resolution where its H is highest.
        h: its H there, which is mAP times a factor that is known exactly.
        base: likewise.
        base_h: likewise.
    """
    if len(student.replicates) != len(base.replicates) or len(base.replicates) < _PARTS:
        return None
    if student.map <= 0 or base.map <= 0:
        return None
    factor, base_factor = h / student.map, base_h / base.map
    pairs = zip(student.replicates, base.replicates, strict=True)
    low, high = interval([factor * ours - base_factor * theirs for ours, theirs in pairs])
    return Gain(h=h - base_h, low=low, high=high)


def interval(replicates: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of a bootstrap: the percentiles 2.5 and 97.5 of its replicates."""
    inner = quantiles(replicates, n=_PARTS, method="inclusive")
    return inner[0], inner[-1]
