"""Which channels are least important: a global ranking with a minimum in every unit.

A unit is a set of channels that can be removed one by one: those between two convolutions, or those
of a residual stream. They are removed in steps, the least important first: single channels or whole
groups, or, with a divisor, as many at a time as keep the width a multiple of it.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Generic, TypeVar

import torch
from torch import Tensor

from detnas_trainer.evolve.errors import InvalidActionError

Key = TypeVar("Key", bound=Hashable)
Border = tuple[int | None, int, int]
"""Two streams whose widths must differ: unit before (None if its width is fixed), unit after, width
before."""


@dataclass(frozen=True, slots=True)
class PrunableUnit(Generic[Key]):
    """Channels that can be removed, in their order.

    Attributes:
        key: what the caller knows the unit by.
        order: channel indices, the least important first.
        steps: per step: (mean importance of the channels removed, channels gone after it).
    """

    key: Key
    order: Tensor
    steps: tuple[tuple[float, int], ...]

    @classmethod
    def ranked(
        cls, key: Key, weights: Sequence[Tensor], *, minimum: int, divisor: int, group: int = 1
    ) -> "PrunableUnit[Key]":
        """Rank channels by the magnitude of their batch norms' weights, or groups by its mean.

        Args:
            key: what the caller knows the unit by.
            weights: the weight of each batch norm over these channels, one value per channel.
            minimum: channels that stay.
            divisor: the width after every step is a multiple of this.
            group: consecutive channels that stay or go together; the divisor is a multiple of it.

        Raises:
            InvalidActionError: a weight is not finite.
        """
        magnitudes = torch.stack([weight.detach().abs().double() for weight in weights])
        groups = magnitudes.mean(0).reshape(-1, group).mean(1)
        if not groups.isfinite().all():
            raise InvalidActionError(
                f"channel pruning: a batch norm's weight is not finite ({key})",
                "take other weights",
            )
        importance, ranking = groups.sort(stable=True)
        order = (ranking[:, None] * group + torch.arange(group)).flatten()
        values = importance.repeat_interleave(group).tolist()
        steps = []
        gone = 0
        for after in _gone_after_each_step(len(values), minimum, divisor):
            steps.append((sum(values[gone:after]) / (after - gone), after))
            gone = after
        return cls(key, order, tuple(steps))

    def width(self, steps: int) -> int:
        """Channels left after so many steps."""
        return len(self.order) - self.gone(steps)

    def gone(self, steps: int) -> int:
        """Channels gone after so many steps."""
        return self.steps[steps - 1][1] if steps else 0

    def kept(self, steps: int) -> Tensor:
        """Indices of the channels left after so many steps, ascending."""
        return self.most_important(self.width(steps))

    def most_important(self, width: int) -> Tensor:
        """Indices of so many most important channels, ascending; at least one."""
        return self.order[-width:].sort().values


def least_important(
    units: Sequence[PrunableUnit], fraction: Decimal, borders: Sequence[Border]
) -> dict[int, Tensor]:
    """Choose the channels to keep so that a share of all channels is removed.

    Where the two widths at a border would become equal, one more step is taken on one side; if
    neither side has one left, one side takes a step less.

    Args:
        units: what can be pruned.
        fraction: share of all units' channels to remove, rounded down, at least one.
        borders: streams whose widths must stay different; they are different now.

    Returns:
        Indices of the channels kept, for every unit (by position) that loses any.
    """
    target = max(1, int(fraction * sum(len(unit.order) for unit in units)))
    limits = [len(unit.steps) for unit in units]
    while True:
        taken = _rank_globally(units, target, limits)
        stuck = _separate(units, taken, limits, borders)
        if stuck is None:
            break
        # Each round lowers a limit; with all of them at zero the widths are unchanged.
        limits[stuck] = taken[stuck] - 1
    return {index: unit.kept(taken[index]) for index, unit in enumerate(units) if taken[index] > 0}


def _gone_after_each_step(width: int, minimum: int, divisor: int) -> Iterator[int]:
    """How many channels are gone after each step that leaves at least the minimum."""
    left = (width - 1) // divisor * divisor
    while left >= max(minimum, 1):
        yield width - left
        left -= divisor


def _rank_globally(units: Sequence[PrunableUnit], target: int, limits: Sequence[int]) -> list[int]:
    """Steps taken in every unit if the least important come first, until the target is met."""
    ranking = sorted(
        (importance, index, step)
        for index, (unit, limit) in enumerate(zip(units, limits, strict=True))
        for step, (importance, _) in enumerate(unit.steps[:limit])
    )
    taken = [0] * len(units)
    gone = 0
    for _, index, step in ranking:
        if gone >= target:
            break
        gone += units[index].gone(step + 1) - units[index].gone(step)
        taken[index] = step + 1
    return taken


def _separate(
    units: Sequence[PrunableUnit],
    taken: list[int],
    limits: Sequence[int],
    borders: Sequence[Border],
) -> int | None:
    """Take further steps until the widths at every border differ.

    Returns:
        None on success; else the unit that has to take fewer steps.
    """
    while (border := _equal(units, taken, borders)) is not None:
        sides = [side for side in (border[1], border[0]) if side is not None]
        free = [side for side in sides if taken[side] < limits[side]]
        if not free:
            return next(side for side in sides if taken[side] > 0)
        taken[free[0]] += 1
    return None


def _equal(
    units: Sequence[PrunableUnit], taken: Sequence[int], borders: Sequence[Border]
) -> Border | None:
    for border in borders:
        before, after, width = border
        now = width if before is None else units[before].width(taken[before])
        if now == units[after].width(taken[after]):
            return border
    return None
