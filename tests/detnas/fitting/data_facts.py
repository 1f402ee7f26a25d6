"""Facts of data sets that the tests fit manifests to."""

from typing import Any

from detnas.own_data.facts import DataFacts, Quantiles


def facts(images: int = 240, **changed: Any) -> DataFacts:
    """The digits example's, with another number of training images."""
    sides = Quantiles(0.118, 0.123, 0.166, 0.222, 0.233)
    usual: dict[str, Any] = {
        "images": {"train": images, "val": max(1, images // 4), "test": max(1, images // 4)},
        "boxes": {"train": 5 * images, "val": images, "test": images},
        "classes": ("cat", "dog"),
        "class_boxes": {"cat": 3 * images, "dog": 2 * images},
        "size": (128, 128),
        "smallest": (128, 128),
        "largest": (128, 128),
        "sides": sides,
        "pixels": sides,
        "ratios": Quantiles(0.7, 0.8, 1.0, 1.2, 1.3),
        "per_image": Quantiles(3, 3, 5, 7, 7),
        "without_boxes": 0,
    }
    return DataFacts(**{**usual, **changed})


COCO = facts(
    118_000,
    size=(640, 480),
    sides=Quantiles(0.02, 0.03, 0.13, 0.55, 0.75),
    per_image=Quantiles(1, 1, 5, 16, 22),
    ratios=Quantiles(0.38, 0.48, 1.1, 2.6, 2.9),
)
"""Roughly COCO's."""
