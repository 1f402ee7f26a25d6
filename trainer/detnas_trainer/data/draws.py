"""What every iteration draws, as pure functions of (seed, iteration, slot).

The images of one orientation come from one endless stream: a permutation of them for each epoch,
one after the other. Batches are cut from it without regard to epochs, so that a batch has one
orientation and no batch is short. Any iteration can be the first.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from detnas.records.settings import Resolution

Groups = tuple[NDArray[np.int64], ...]
"""The images of a data set, by orientation where batches have one: one group or two, none empty."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of a batch: its index in the data set, its size, and whether it is mirrored."""

    image: int
    resolution: Resolution
    flipped: bool = False


@dataclass(frozen=True)
class BatchDraws:
    """The draws of a training run, in which every image is shown ``epochs`` times.

    As many batches are drawn of each group as its images fill, evenly over the run. What is left of
    the groups is the last batch, together if it fits; the batches that end it may show an image
    once more.

    Attributes:
        seed: of the job.
        groups: the images; a batch has images of one group.
        batch_size: of all ranks together.
        resolutions: one is drawn per iteration, so that a batch has one size.
        flip: probability of mirroring an image.
        epochs: of the run.
    """

    seed: int
    groups: Groups
    batch_size: int
    resolutions: tuple[Resolution, ...]
    flip: float
    epochs: int

    @cached_property
    def images(self) -> int:
        """Images in the data set."""
        return sum(map(len, self.groups))

    @cached_property
    def iterations(self) -> int:
        """Steps that show every image ``epochs`` times; the last batch may go beyond."""
        return -(-self.epochs * self.images // self.batch_size)

    def epoch(self, iteration: int) -> int:
        """Epoch, from 0, that an iteration's first image belongs to."""
        return iteration * self.batch_size // self.images

    def batch(self, iteration: int, rank: int = 0, ranks: int = 1) -> tuple[Sample, ...]:
        """The samples of an iteration; of ``ranks`` processes each takes every ranks-th slot."""
        size = self._resolution(iteration)
        places = self._places(iteration)
        return tuple(
            Sample(self._image(*places[slot]), size, self._flipped(iteration, slot))
            for slot in range(rank, self.batch_size, ranks)
        )

    def _resolution(self, iteration: int) -> Resolution:
        draw = np.random.default_rng(seed_of("resolution", self.seed, iteration))
        return self.resolutions[draw.integers(len(self.resolutions))]

    def _flipped(self, iteration: int, slot: int) -> bool:
        draw = np.random.default_rng(seed_of("flip", self.seed, iteration, slot))
        return bool(draw.random() < self.flip)

    def _image(self, group: int, position: int) -> int:
        members = self.groups[group]
        epoch, place = divmod(position, len(members))
        return int(members[_permutation(self.seed, group, epoch, len(members))[place]])

    def _places(self, iteration: int) -> list[tuple[int, int]]:
        """Group and position in the group's stream, for each slot."""
        if iteration == self.iterations - 1 and self._last:
            return self._last
        group, before = self._turn(iteration)
        start = before * self.batch_size
        return [(group, position) for position in range(start, start + self.batch_size)]

    def _turn(self, iteration: int) -> tuple[int, int]:
        """Group of an iteration, and how many iterations before it were of that group.

        The second group's are spread evenly, from a phase that the seed draws.
        """
        if len(self.groups) == 1:
            return 0, iteration
        of_one_group = sum(self._batches)
        phase = _phase(self.seed, of_one_group)
        before, after = (
            (i * self._batches[1] + phase) // of_one_group for i in (iteration, iteration + 1)
        )
        return (1, before) if after > before else (0, iteration - before)

    @cached_property
    def _batches(self) -> list[int]:
        """Batches of each group alone."""
        full = [self.epochs * len(members) // self.batch_size for members in self.groups]
        # Two batches more than the full ones are one of each group.
        more = 1 if self.iterations - sum(full) == len(full) else 0
        return [count + more for count in full]

    @cached_property
    def _last(self) -> list[tuple[int, int]]:
        """The last batch where both groups share it, completed with the first group's images."""
        if sum(self._batches) == self.iterations:
            return []
        starts = [count * self.batch_size for count in self._batches]
        left = [
            (group, position)
            for group, (start, members) in enumerate(zip(starts, self.groups, strict=True))
            for position in range(start, self.epochs * len(members))
        ]
        beyond = self.epochs * len(self.groups[0])
        missing = self.batch_size - len(left)
        return left + [(0, position) for position in range(beyond, beyond + missing)]


def statistics_samples(
    seed: int, groups: Groups, count: int, resolutions: Sequence[Resolution]
) -> list[list[Sample]]:
    """The images over which a teacher's batch norm statistics are computed: a batch per size.

    Args:
        seed: the pool's.
        groups: the images of the training set; a small group is repeated. Each batch has images of
            one group, drawn by the number of its images.
        count: all images, distributed evenly over the resolutions; each gets at least one.
        resolutions: every size that the pool was trained at.
    """
    count = max(count, len(resolutions))
    return [
        [
            Sample(int(order[position % len(order)]), resolution)
            for position in range(turn, count, len(resolutions))
        ]
        for turn, (resolution, order) in enumerate(
            zip(resolutions, _statistics_orders(seed, groups), strict=False)
        )
    ]


def _statistics_orders(seed: int, groups: Groups) -> Iterator[NDArray[np.int64]]:
    """The order of the images that each batch of statistics is taken from."""
    orders = [
        members[_random("statistics", seed, group).permutation(len(members))]
        for group, members in enumerate(groups)
    ]
    images = sum(map(len, groups))
    seen = _phase(seed, images)
    while True:
        seen += len(orders[-1])
        yield orders[-1] if seen >= images else orders[0]
        seen %= images


def _phase(seed: int, length: int) -> int:
    """Where in so many equal steps the even spread of the second group begins."""
    return int(np.random.default_rng(seed_of("orientation", seed)).integers(length))


def _random(purpose: str, *parts: int) -> np.random.Generator:
    """A generator for a purpose; the first group has that of data sets with one group."""
    *shared, group = parts
    return np.random.default_rng(seed_of(purpose, *shared, *([group] if group else [])))


def seed_of(*parts: int | str) -> int:
    """A 63-bit seed for a purpose: different parts give unrelated seeds."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


@lru_cache(maxsize=4)
def _permutation(seed: int, group: int, epoch: int, images: int) -> NDArray[np.int64]:
    return _random("order", seed, epoch, group).permutation(images)
