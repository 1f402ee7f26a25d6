"""Divides images into training, validation and test, the same way every time.

Images are ordered by the rarest class that they show, and within it by a hash of their names. From
this order every n-th is taken: so each split has its share of each class, as far as the numbers
allow, and the order of the file, ids and added classes elsewhere do not matter.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from math import floor
from typing import Any

from detnas.errors import UserError

SHARE = 0.15
"""Of the images for validation, and for the test, if a data set has neither."""

FEWEST = 10
"""Images below which a data set is not divided."""

Document = Mapping[str, Any]


def divide(document: Document, shares: Mapping[str, float], rest: str) -> dict[str, dict[str, Any]]:
    """Divide a COCO file's images; no image is moved, and each is in one split.

    Args:
        document: content of the file.
        shares: of each split that is taken out, above 0; together below 1.
        rest: name of the split that keeps the others.

    Returns:
        Content of each split's file, with all categories, `rest` first.

    Raises:
        UserError: there are fewer than ten images.
    """
    images: Sequence[Mapping[str, Any]] = document["images"]
    if len(images) < FEWEST:
        raise UserError(
            f"{len(images)} images are too few to be divided into {', '.join([rest, *shares])}",
            f"annotate at least {FEWEST}, better some hundred",
        )
    left = _ordered(document)
    taken: dict[str, set[int]] = {}
    remaining = 1.0
    for split, share in shares.items():
        kept, out = _every_nth(left, share / remaining)
        taken[split], left, remaining = set(out), kept, remaining - share
    members = {rest: set(left), **taken}
    return {split: _only(document, ids) for split, ids in members.items()}


def _ordered(document: Document) -> list[int]:
    """Ids of the images by their rarest class, the rarest first, then by hash of the name."""
    shown: dict[int, set[int]] = {image["id"]: set() for image in document["images"]}
    for annotation in document["annotations"]:
        if annotation["image_id"] in shown:
            shown[annotation["image_id"]].add(annotation["category_id"])
    frequency = Counter(category for classes in shown.values() for category in classes)
    names = {entry["id"]: entry["name"] for entry in document["categories"]}

    def key(image: Mapping[str, Any]) -> tuple[float, str, str]:
        rarest = min(
            ((frequency[one], str(names.get(one))) for one in shown[image["id"]]),
            default=(float("inf"), ""),
        )
        return (*rarest, hashlib.sha256(image["file_name"].encode()).hexdigest())

    return [image["id"] for image in sorted(document["images"], key=key)]


def _every_nth(ids: Sequence[int], share: float) -> tuple[list[int], list[int]]:
    """Those that stay and those that are taken, evenly along the order; at least one of each."""
    out = [
        identifier
        for position, identifier in enumerate(ids)
        if floor((position + 1) * share) > floor(position * share)
    ] or [ids[-1]]
    gone = set(out)
    return [identifier for identifier in ids if identifier not in gone], out


def _only(document: Document, ids: set[int]) -> dict[str, Any]:
    return {
        **document,
        "images": [image for image in document["images"] if image["id"] in ids],
        "annotations": [one for one in document["annotations"] if one["image_id"] in ids],
    }
