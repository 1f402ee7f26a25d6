"""Boxes of a data set as arrays, and what becomes of each: learnt, a crowd, or ignored."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

_SLIVER = 0.01
"""Pixels; a box of which less is inside its image could shrink to nothing in float32, and its
loss would not be finite."""

_ROUNDING = 1.0
"""Pixels that a box may reach beyond its image without a remark: annotators round."""


@dataclass(frozen=True)
class Boxes:
    """Every annotation of a split, in the file's order.

    Attributes:
        images: (n) index of the image.
        labels: (n) position of the class.
        sides: (n, 4) x, y, width, height in pixels of the displayed image.
        areas: (n) as annotated, in square pixels.
        crowds: (n) whether the box marks a crowd, where nothing is learnt and nothing is wrong.
        marked: (n) whether the file marks the box to be ignored.
        sizes: (n, 2) width and height of each box's image.
    """

    images: NDArray[np.int64]
    labels: NDArray[np.int64]
    sides: NDArray[np.float64]
    areas: NDArray[np.float64]
    crowds: NDArray[np.bool_]
    marked: NDArray[np.bool_]
    sizes: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def corners(self) -> NDArray[np.float64]:
        """(n, 4) left, top, right, bottom."""
        return np.hstack([self.sides[:, :2], self.sides[:, :2] + self.sides[:, 2:]])

    @cached_property
    def too_small(self) -> NDArray[np.bool_]:
        """(n) below one pixel, or without an area; mmdet ignores them too."""
        return ~self.marked & ((self.sides[:, 2:].min(axis=1) < 1) | (self.areas <= 0))

    @cached_property
    def outside(self) -> NDArray[np.bool_]:
        """(n) large enough, but outside the image."""
        corners = self.corners
        inside = np.minimum(corners[:, 2:], self.sizes) - np.maximum(corners[:, :2], 0)
        return ~self.marked & ~self.too_small & (inside.min(axis=1) < _SLIVER)

    @cached_property
    def used(self) -> NDArray[np.bool_]:
        """(n) what training sees: the ordinary ones, and the crowds."""
        return ~(self.marked | self.too_small | self.outside)

    @cached_property
    def ordinary(self) -> NDArray[np.bool_]:
        """(n) what is learnt."""
        return self.used & ~self.crowds

    @property
    def clipped(self) -> NDArray[np.bool_]:
        """(n) used, and cut at the image's border by more than rounding."""
        corners = self.corners
        before = corners[:, :2].min(axis=1) < -_ROUNDING
        return self.used & (before | self.beyond(self.sizes))

    def beyond(self, sizes: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n) whose right or bottom edge would be beyond images of such sizes, (n, 2)."""
        past = self.corners[:, 2:] > sizes + _ROUNDING
        return past[:, 0] | past[:, 1]

    @property
    def relative(self) -> bool:
        """Whether all are between 0 and 1, as shares of the image's sides do."""
        largest = self.sides.max()
        return bool(self.sides.min() >= 0 and 0 < largest <= 1 and self.sizes.max() > 1)
