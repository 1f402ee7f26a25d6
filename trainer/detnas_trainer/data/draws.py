"""What every iteration draws, as pure functions of (seed, iteration, slot).

Images come from one endless stream: a permutation of the data set for each epoch, one after the
other. Batches are cut from it without regard to epochs, so that each epoch shows each image
exactly once, no batch is short, and any iteration can be the first.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from detnas.records.settings import Resolution


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of a batch: its index in the data set, its size, and whether it is mirrored."""

    image: int
    resolution: Resolution
    flipped: bool = False


@dataclass(frozen=True)
class BatchDraws:
    """The draws of a training run.

    Attributes:
        seed: of the job.
        images: in the data set.
        batch_size: of all ranks together.
        resolutions: one is drawn per iteration, so that a batch has one size.
        flip: probability of mirroring an image.
    """

    seed: int
    images: int
    batch_size: int
    resolutions: tuple[Resolution, ...]
    flip: float

    def epoch(self, iteration: int) -> int:
        """Epoch, from 0, that an iteration's first image belongs to."""
        return iteration * self.batch_size // self.images

    def batch(self, iteration: int, rank: int = 0, ranks: int = 1) -> tuple[Sample, ...]:
        """The samples of an iteration; of ``ranks`` processes each takes every ranks-th slot."""
        size = self._resolution(iteration)
        return tuple(
            Sample(self._image(iteration, slot), size, self._flipped(iteration, slot))
            for slot in range(rank, self.batch_size, ranks)
        )

    def _resolution(self, iteration: int) -> Resolution:
        draw = np.random.default_rng(seed_of("resolution", self.seed, iteration))
        return self.resolutions[draw.integers(len(self.resolutions))]

    def _image(self, iteration: int, slot: int) -> int:
        epoch, position = divmod(iteration * self.batch_size + slot, self.images)
        return int(_permutation(self.seed, epoch, self.images)[position])

    def _flipped(self, iteration: int, slot: int) -> bool:
        draw = np.random.default_rng(seed_of("flip", self.seed, iteration, slot))
        return bool(draw.random() < self.flip)


def statistics_samples(
    seed: int, images: int, count: int, resolutions: Sequence[Resolution]
) -> list[list[Sample]]:
    """The images over which a teacher's batch norm statistics are computed: a batch per size.

    Args:
        seed: the pool's.
        images: in the training set; a small one is repeated.
        count: all images, distributed evenly over the resolutions; each gets at least one.
        resolutions: every size that the pool was trained at.
    """
    order = np.random.default_rng(seed_of("statistics", seed)).permutation(images)
    count = max(count, len(resolutions))
    return [
        [
            Sample(int(order[position % images]), resolution)
            for position in range(turn, count, len(resolutions))
        ]
        for turn, resolution in enumerate(resolutions)
    ]


def seed_of(*parts: int | str) -> int:
    """A 63-bit seed for a purpose: different parts give unrelated seeds."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


@lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, images: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed_of("order", seed, epoch)).permutation(images)
