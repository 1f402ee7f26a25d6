"""Means over seeds, differences paired by seed, and the area under a front."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan, nan, sqrt
from statistics import fmean, stdev

from detnas.reproduction.figures import FrontFigures

_T_975 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
)
"""Student's t, its 97.5 % quantiles, from one degree of freedom."""
_Z_975 = 1.959964
_MOST_SEEDS = 10_000


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over seeds.

    Attributes:
        value: the mean.
        error: its standard error; NaN of a single value.
        count: of values.
    """

    value: float
    error: float
    count: int

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval by Student's t, for values that are normal; NaN of a single value."""
        if self.count < 2:
            return nan, nan
        reach = self.error * _t_975(self.count - 1)
        return self.value - reach, self.value + reach

    @property
    def is_separated(self) -> bool:
        """Whether that interval leaves 0 out."""
        low, high = self.interval
        return not isnan(low) and (low > 0 or high < 0)

    @property
    def seeds_to_separate(self) -> int | None:
        """About how many seeds would separate it from 0, if mean and spread stayed the same.

        None if no spread is known, there is no difference, or more than 10,000 would be needed.
        """
        if self.count < 2:
            return None
        spread = self.error * sqrt(self.count)
        for seeds in range(2, _MOST_SEEDS + 1):
            if abs(self.value) > _t_975(seeds - 1) * spread / sqrt(seeds):
                return seeds
        return None


def _t_975(degrees: int) -> float:
    """Student's t, its 97.5 % quantile: from a table, beyond it by expansion."""
    if degrees <= len(_T_975):
        return _T_975[degrees - 1]
    z = _Z_975
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return z + first / degrees + second / degrees**2


def mean(values: Sequence[float]) -> Mean:
    """The mean of values, one at least."""
    error = stdev(values) / sqrt(len(values)) if len(values) > 1 else nan
    return Mean(fmean(values), error, len(values))


def dominated_area(front: Iterable[FrontFigures]) -> float:
    """The hypervolume of a front: the mean, over budgets up to the base's FLOPs, of the best mAP.

    The reference point is a mAP of 0 at the base's FLOPs; points beyond these do not count.
    """
    area, best, until = 0.0, 0.0, 0.0
    for point in sorted(front, key=lambda one: one.relative_flops):
        if point.relative_flops >= 1:
            break
        area += best * (point.relative_flops - until)
        best, until = max(best, point.map), point.relative_flops
    return area + best * (1 - until)
