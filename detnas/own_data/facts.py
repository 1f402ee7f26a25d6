"""What a data set measures: the numbers that a manifest is fitted to."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median
from typing import Any

_MIRRORED = ("left", "right")


@dataclass(frozen=True)
class Quantiles:
    """Of a quantity: below which value 5, 10, 50, 90 and 95 % of the sample lie."""

    p5: float
    p10: float
    p50: float
    p90: float
    p95: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Quantiles":
        """Return those of a sample; of an empty one all are 0."""
        ordered = sorted(values)
        last = len(ordered) - 1
        at = [ordered[round(last * q)] if ordered else 0.0 for q in (0.05, 0.1, 0.5, 0.9, 0.95)]
        return cls(*at)


@dataclass(frozen=True)
class DataFacts:
    """A data set in COCO format; of its training split unless stated otherwise.

    Attributes:
        images: number of images of each split.
        boxes: number of ordinary boxes of each split.
        classes: names, in the file's order.
        class_boxes: boxes of each class.
        size: median width and height of an image in pixels.
        smallest: width and height of the image of least area.
        largest: of the image of most area.
        sides: side of an object (root of its area) over the longer side of its image.
        pixels: the same side in pixels.
        ratios: height of an object over its width.
        per_image: objects in an image, of the images that have any.
        without_boxes: images without an object.
    """

    images: dict[str, int]
    boxes: dict[str, int]
    classes: tuple[str, ...]
    class_boxes: dict[str, int]
    size: tuple[int, int]
    smallest: tuple[int, int]
    largest: tuple[int, int]
    sides: Quantiles
    pixels: Quantiles
    ratios: Quantiles
    per_image: Quantiles
    without_boxes: int

    @property
    def training_images(self) -> int:
        """Images of the training split."""
        return self.images["train"]

    @property
    def mirrored_classes_differ(self) -> bool:
        """Whether a class's name suggests that a mirrored object is another, or none.

        That is so for single letters and digits, and for pairs of left and right.
        """
        letters = sum(len(name) == 1 for name in self.classes)
        sided = any(word in name.lower() for name in self.classes for word in _MIRRORED)
        return sided or letters * 2 > len(self.classes)


def facts_of(documents: Mapping[str, Mapping[str, Any]]) -> DataFacts:
    """Return the facts of a data set.

    Args:
        documents: content of the COCO file of each split, with ``train``; entries are checked.
    """
    train = documents["train"]
    sizes = {image["id"]: (image["width"], image["height"]) for image in train["images"]}
    boxes = _ordinary(train["annotations"], sizes)
    names = {entry["id"]: entry["name"] for entry in train["categories"]}
    shown = Counter(box["image_id"] for box in boxes)
    counts = Counter(names.get(box["category_id"], "") for box in boxes)
    sides = [sqrt(box["bbox"][2] * box["bbox"][3]) for box in boxes]
    return DataFacts(
        images={split: len(one["images"]) for split, one in documents.items()},
        boxes={
            split: sum(not box["iscrowd"] for box in one["annotations"])
            for split, one in documents.items()
        },
        classes=tuple(names.values()),
        class_boxes={name: counts[name] for name in names.values()},
        size=_median_size(list(sizes.values())),
        smallest=min(sizes.values(), key=_area),
        largest=max(sizes.values(), key=_area),
        sides=Quantiles.of(
            side / max(sizes[box["image_id"]]) for side, box in zip(sides, boxes, strict=True)
        ),
        pixels=Quantiles.of(sides),
        ratios=Quantiles.of(box["bbox"][3] / box["bbox"][2] for box in boxes),
        per_image=Quantiles.of(shown.values()),
        without_boxes=len(sizes) - len(shown),
    )


def _ordinary(
    annotations: Sequence[Mapping[str, Any]], sizes: Mapping[int, tuple[int, int]]
) -> list[Mapping[str, Any]]:
    """Boxes that are learnt: no crowds, at least a pixel in each direction, of known images."""
    return [
        box
        for box in annotations
        if not box["iscrowd"] and box["image_id"] in sizes and min(box["bbox"][2:]) >= 1
    ]


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _median_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The median longer and shorter side, in the orientation that most images have."""
    long, short = (round(median(pick(size) for size in sizes)) for pick in (max, min))
    tall = sum(height > width for width, height in sizes)
    return (short, long) if 2 * tall > len(sizes) else (long, short)
