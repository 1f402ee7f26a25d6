"""By how much a detector is better than the base, and how certain that is.

Both are scored on the same images, and the bootstrap of both draws the same images, so the
differences between their replicates are those of a paired bootstrap. Its interval covers the choice
of images; it does not cover what another seed of the training would have changed.
"""

from collections.abc import Sequence
from enum import StrEnum
from statistics import quantiles

from detnas.records.results import Score
from detnas.schema import Count, Flag, Schema, added

_ENOUGH_IMAGES = 200
_FEW_IMAGES = (
    "an interval over fewer than 200 images is slightly too narrow: with 50, 93.7 % of simulated "
    "ones held"
)
"""By `bench.training.bootstrap`; with 200 or more, as many held as the interval says."""

_PARTS = 40
"""The first and the last of as many equal parts lie outside a 95 % interval."""


class GainMetric(StrEnum):
    """What two detectors are compared by."""

    H = "H"
    MAP = "mAP"


class Gain(Schema):
    """A difference between two detectors, with its paired 95 % interval over the images.

    Attributes:
        difference: of the metric.
        low: lower end of the interval.
        high: upper end of the interval.
        metric: H, or mAP where one of them is upgraded, which costs it computation.
        images: how many there are; 0 if unknown.
        unseen: they are the test images, which decided nothing; else the validation images, on
            which the detector was selected, so that the gain is too large rather than too small.
    """

    difference: float
    low: float
    high: float
    metric: GainMetric = added(1, GainMetric.H)
    images: Count = added(1, 0)
    unseen: Flag = added(1, default=False)

    @property
    def is_certain(self) -> bool:
        """Whether the whole interval is above 0, so that the first detector counts as better."""
        return self.low > 0

    @property
    def doubt(self) -> str:
        """What speaks against calling it better, after "it is"; empty if it is certain."""
        if self.is_certain:
            return ""
        return "worse than the base" if self.high < 0 else "not distinguishable from the base"

    @property
    def where(self) -> str:
        """The images, for people."""
        return measured_on(self.images, unseen=self.unseen)

    @property
    def claim(self) -> str:
        """What can be said of the detector and the base: a clause, or two."""
        if self.is_certain:
            said = f"its {self.metric} less the base's is {self} on {self.where}"
        else:
            said = f"{self.doubt} on {self.where} ({self.metric} {self})"
        return "; ".join(filter(None, (said, self.caveat)))

    @property
    def caveat(self) -> str:
        """What to know of its interval if the images are few, a clause; else empty."""
        return _FEW_IMAGES if 0 < self.images < _ENOUGH_IMAGES else ""

    def __str__(self) -> str:
        return f"{self.difference:+.4f}, 95 % interval {self.low:+.4f} to {self.high:+.4f}"


def measured_on(images: int, *, unseen: bool) -> str:
    """Name the images on which something was measured; 0 if their number is unknown."""
    count = f"{images} " if images else ""
    if unseen:
        return f"{count}unseen test images"
    return f"the {count}validation images it was selected on"


def paired_gain(
    student: Score, value: float, base: Score, base_value: float, metric: GainMetric = GainMetric.H
) -> Gain | None:
    """The gain of a student over the base; None if the replicates of one are unknown.

    Args:
        student: at the resolution where its H is highest.
        value: its metric there, which is mAP times a factor that is known exactly.
        base: likewise.
        base_value: likewise.
        metric: by which they are compared.
    """
    if len(student.replicates) != len(base.replicates) or len(base.replicates) < _PARTS:
        return None
    factor, base_factor = _factor(student, value), _factor(base, base_value)
    pairs = zip(student.replicates, base.replicates, strict=True)
    low, high = interval([factor * ours - base_factor * theirs for ours, theirs in pairs])
    return Gain(difference=value - base_value, low=low, high=high, metric=metric)


def _factor(score: Score, value: float) -> float:
    """By which mAP is multiplied; of a detector that finds nothing, all replicates are 0."""
    return value / score.map if score.map > 0 else 0.0


def interval(replicates: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of a bootstrap: the percentiles 2.5 and 97.5 of its replicates.

    Not the sample's own percentiles, between which, of 200 replicates, only 94 % of their
    distribution lie, but estimates of that distribution's, which are a little further apart.
    """
    inner = quantiles(replicates, n=_PARTS, method="exclusive")
    return inner[0], inner[-1]
