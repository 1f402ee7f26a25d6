"""What a manifest has to fit: how much data there is, and how large its objects are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """One split of a data set.

    Attributes:
        images: their number.
        largest_objects: side in pixels, as the root of the area, of the largest object in images
            of each size; sizes without objects are left out.
    """

    images: int
    largest_objects: Mapping[Size, float] = field(default_factory=dict)


def largest_objects(
    images: Iterable[Mapping[str, Any]], annotations: Iterable[Mapping[str, Any]]
) -> dict[Size, float]:
    """Return the side of the largest object in images of each size; crowds are no objects.

    Args:
        images: entries of a COCO file.
        annotations: entries of the same file.

    Raises:
        KeyError, TypeError, ValueError: an entry is not as COCO has it.
    """
    sizes = {image["id"]: _size(image) for image in images}
    largest: dict[Size, float] = {}
    for annotation in annotations:
        if annotation.get("iscrowd"):
            continue
        _, _, width, height = annotation["bbox"]
        size = sizes[annotation["image_id"]]
        largest[size] = max(largest.get(size, 0.0), sqrt(max(width, 0) * max(height, 0)))
    return largest


def split_facts(document: Mapping[str, Any]) -> SplitFacts:
    """Return the facts of a COCO annotation file's content.

    Raises:
        KeyError, TypeError, ValueError: it is not as COCO has it.
    """
    images = document["images"]
    return SplitFacts(len(images), largest_objects(images, document.get("annotations", ())))


def _size(image: Mapping[str, Any]) -> Size:
    width, height = image["width"], image["height"]
    if not (width > 0 and height > 0):
        raise ValueError(f"width and height are {width!r} and {height!r}")
    return width, height
