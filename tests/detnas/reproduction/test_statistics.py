"""Means over seeds, paired differences and the area under a front, against known figures."""

import math
from itertools import cycle

import pytest
from scipy.stats import ttest_1samp

from detnas.reproduction.figures import FrontFigures
from detnas.reproduction.statistics import dominated_area, mean

VALUES = (0.012, 0.031, 0.008, 0.022, 0.017)


@pytest.mark.parametrize("count", [2, 3, 5, 21, 22, 40])
def test_interval_is_scipys(count: int) -> None:
    values = [one for one, _ in zip(cycle(VALUES), range(count), strict=False)]
    found = mean(values)
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.interval == pytest.approx((expected.low, expected.high), rel=1e-3)


def test_single_value_has_no_interval_and_separates_nothing() -> None:
    found = mean([0.1])
    assert math.isnan(found.error)
    assert all(map(math.isnan, found.interval))
    assert not found.is_separated
    assert found.seeds_to_separate is None


@pytest.mark.parametrize(
    ("values", "separated"),
    [(VALUES, True), ([-one for one in VALUES], True), ((0.02, -0.01, 0.01), False)],
)
def test_difference_is_separated_where_its_interval_leaves_zero_out(
    values: tuple[float, ...], separated: bool
) -> None:
    assert mean(values).is_separated is separated


@pytest.mark.parametrize("values", [(0.02, -0.01, 0.01), (0.01, 0.0, -0.008, 0.004)])
def test_as_many_seeds_as_said_separate_a_difference(values: tuple[float, ...]) -> None:
    """Of values with the same mean and spread, and of one fewer not."""
    found = mean(values)
    needed = found.seeds_to_separate
    assert needed is not None
    spread = found.error * math.sqrt(found.count)

    def separated(count: int) -> bool:
        interval = ttest_1samp(_like(found.value, spread, count), 0).confidence_interval(0.95)
        return interval.low > 0 or interval.high < 0

    assert separated(needed)
    assert not separated(needed - 1)


def _like(value: float, spread: float, count: int) -> list[float]:
    """Values of this mean and this standard deviation."""
    shape = [float(one) for one in range(count)]
    plain = mean(shape)
    own = plain.error * math.sqrt(count)
    return [value + (one - plain.value) / own * spread for one in shape]


def point(map_: float, flops: float) -> FrontFigures:
    return FrontFigures(map=map_, relative_flops=flops)


@pytest.mark.parametrize(
    ("front", "area"),
    [
        ((), 0),
        ((point(0.4, 0.5),), 0.2),
        ((point(0.4, 0.5), point(0.6, 0.75)), 0.4 * 0.25 + 0.6 * 0.25),
        ((point(0.6, 0.75), point(0.4, 0.5)), 0.25),
        ((point(0.4, 0.5), point(0.9, 1.5)), 0.2),
        ((point(0.4, 0.5), point(0.3, 0.6)), 0.2),
    ],
)
def test_area_under_a_front(front: tuple[FrontFigures, ...], area: float) -> None:
    assert dominated_area(front) == pytest.approx(area)
