"""COCO annotation files, read and checked so that training never stumbles over them."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from detnas.errors import UserError
from detnas.plan.data_facts import largest_objects

_REQUIRED = {
    "images": ("id", "file_name", "width", "height"),
    "categories": ("id", "name"),
    "annotations": ("id", "image_id", "category_id", "bbox", "area", "iscrowd"),
}
_BEYOND = 0.1
"""Share of boxes that may reach beyond their images before they are taken for corners."""

_IDENTIFIERS = ("id", "image_id", "category_id", "width", "height")
_TEXTS = ("file_name", "name")


class DataError(UserError):
    """The data set can not be used as it is."""


@dataclass(frozen=True)
class Split:
    """One annotation file that has been checked.

    Attributes:
        sha256: digest of the file's content.
        files: image files, relative to the split's image folder, with (width, height) in pixels.
        categories: (id, name) in the file's order, which is the order of the classes. Ids may
            have holes, as COCO's own have: a class is its position, never its id.
        boxes: boxes that can be learnt from, or that mark a crowd.
        empty_images: images without such a box.
        ignored: ids of annotations without an area, which mmdet passes over.
        largest_objects: side in pixels of the largest object in images of each size.
    """

    sha256: str
    files: dict[str, tuple[int, int]]
    categories: tuple[tuple[int, str], ...]
    boxes: int
    empty_images: int
    ignored: tuple[int, ...]
    largest_objects: dict[tuple[int, int], float]


def read_split(path: Path, field: str) -> Split:
    """Read and check an annotation file.

    Args:
        path: the file.
        field: what the user calls it, such as ``train``; it opens every message.

    Raises:
        DataError: the file is missing, is no COCO json, contradicts itself, or holds no box.
    """
    content = _read(path, field)
    document = _document(content, path, field)
    for part, keys in _REQUIRED.items():
        _check_entries(document, part, keys, path, field)
    return _Checker(document, path, field).split(hashlib.sha256(content).hexdigest())


def check_same_categories(train: Split, val: Split) -> None:
    """Refuse two splits whose classes differ, or stand in another order.

    Raises:
        DataError: names what only one of them has.
    """
    if train.categories == val.categories:
        return
    only_train = [entry for entry in train.categories if entry not in val.categories]
    only_val = [entry for entry in val.categories if entry not in train.categories]
    found = (
        f"only in train: {only_train[:5] or 'none'}, only in val: {only_val[:5] or 'none'}"
        if only_train or only_val
        else "the same ones in another order"
    )
    raise DataError(
        f"train and val list different categories ({found})",
        "give both files the same list of ids and names, in the same order",
    )


def data_digest(train: Split, val: Split) -> str:
    """Digest of both files' contents and of the classes: what a pool's identity covers."""
    parts = [train.sha256, val.sha256, [name for _, name in train.categories]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _read(path: Path, field: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{field}: can not read {path} ({error.strerror})",
            "give the path of a COCO annotation file, relative to the data set's root",
        ) from error


def _document(content: bytes, path: Path, field: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError as error:
        raise DataError(
            f"{field}: {path} is no JSON ({error})", "give a COCO annotation file"
        ) from error
    if not isinstance(document, dict):
        raise DataError(
            f"{field}: {path} holds a {type(document).__name__}",
            "a COCO annotation file holds an object with images, annotations and categories",
        )
    return document


def _check_entries(
    document: dict[str, Any], part: str, keys: tuple[str, ...], path: Path, field: str
) -> None:
    entries = document.get(part)
    if not isinstance(entries, list):
        found = "missing" if part not in document else f"a {type(entries).__name__}"
        raise DataError(f"{field}: {part!r} of {path} is {found}", f"{part!r} is a list")
    if not entries:
        raise DataError(f"{field}: {part!r} of {path} is empty", "at least one is needed")
    for position, entry in enumerate(entries):
        where = f"{field}: {part}[{position}] of {path}"
        if not isinstance(entry, dict):
            raise DataError(f"{where} is {entry!r}", "it must be an object")
        for key in keys:
            if key not in entry:
                raise DataError(f"{where} has no {key!r}", f"it needs {', '.join(keys)}")
            if key in _IDENTIFIERS and not _is_whole(entry[key]):
                raise DataError(f"{where}: {key} is {entry[key]!r}", "it must be a whole number")
            if key in _TEXTS and not (isinstance(entry[key], str) and entry[key]):
                raise DataError(f"{where}: {key} is {entry[key]!r}", "it must be a text")


class _Checker:
    """What the entries of one file must satisfy together."""

    def __init__(self, document: dict[str, Any], path: Path, field: str) -> None:
        self.images = document["images"]
        self.annotations = document["annotations"]
        self.categories = document["categories"]
        self._where = f"{field}: {path}"

    def split(self, sha256: str) -> Split:
        images = self._unique("images", (image["id"] for image in self.images))
        categories = self._unique("categories", (entry["id"] for entry in self.categories))
        self._unique("category names", (entry["name"] for entry in self.categories))
        self._unique("annotations", (entry["id"] for entry in self.annotations))
        self._check_images()
        ignored: list[int] = []
        kept: set[int] = set()
        for position, entry in enumerate(self.annotations):
            if self._has_area(entry, position, images, categories):
                kept.add(entry["image_id"])
            else:
                ignored.append(entry["id"])
        boxes = len(self.annotations) - len(ignored)
        if not boxes:
            raise DataError(f"{self._where} holds no box with an area", "annotate some objects")
        self._check_reach()
        return Split(
            sha256=sha256,
            files={i["file_name"]: (i["width"], i["height"]) for i in self.images},
            categories=tuple((entry["id"], entry["name"]) for entry in self.categories),
            boxes=boxes,
            empty_images=len(images - kept),
            ignored=tuple(ignored),
            largest_objects=largest_objects(self.images, self.annotations),
        )

    def _unique(self, what: str, values: Iterator[Any]) -> set[Any]:
        seen: set[Any] = set()
        for value in values:
            if value in seen:
                raise DataError(
                    f"{self._where}: {what} has {value!r} twice", "each may stand there once"
                )
            seen.add(value)
        return seen

    def _check_images(self) -> None:
        self._unique("file_name of images", (image["file_name"] for image in self.images))
        for position, image in enumerate(self.images):
            if min(image["width"], image["height"]) < 1:
                raise DataError(
                    f"{self._where}: images[{position}] is {image['width']}x{image['height']}",
                    "width and height are at least 1 pixel",
                )

    def _check_reach(self) -> None:
        """Boxes may stick out a little; where many do, they are corners taken for sizes."""
        sizes = {image["id"]: (image["width"], image["height"]) for image in self.images}
        beyond = [
            entry
            for entry in self.annotations
            for box, (width, height) in [(entry["bbox"], sizes[entry["image_id"]])]
            if box[0] + box[2] > width + 1 or box[1] + box[3] > height + 1
        ]
        if len(beyond) > max(2, _BEYOND * len(self.annotations)):
            raise DataError(
                f"{self._where}: {len(beyond)} of {len(self.annotations)} boxes reach beyond their "
                f"images, first annotation {beyond[0]['id']} with {beyond[0]['bbox']}",
                "write [x, y, width, height] in pixels, not corners",
            )

    def _has_area(
        self, entry: dict[str, Any], position: int, images: set[int], categories: set[int]
    ) -> bool:
        """Check one annotation; false where it is legal but its box covers nothing."""
        where = f"{self._where}: annotations[{position}]"
        for key, known in (("image_id", images), ("category_id", categories)):
            if entry[key] not in known:
                raise DataError(
                    f"{where}: {key} is {entry[key]}, which the file does not list",
                    "add the entry or remove the annotation",
                )
        box = entry["bbox"]
        if not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))):
            raise DataError(f"{where}: bbox is {box!r}", "write [x, y, width, height]")
        if min(box[2:]) < 0:
            raise DataError(f"{where}: bbox is {box!r}", "width and height can not be negative")
        if not _is_number(entry["area"]):
            raise DataError(f"{where}: area is {entry['area']!r}", "it must be a number")
        return min(box[2:]) >= 1 and entry["area"] > 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
