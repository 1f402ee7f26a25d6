"""COCO annotation files: one reader for checking, training and scoring.

Ids in a file only relate boxes to images and classes. Outside the reader there are positions, and
numbers of our own from 1, since COCO's tools take an id of 0 for "no match" and cannot represent
more than 64 bits.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np

from detnas.own_data.coco_json import DataError, check_entries, parse_document
from detnas.plan.dataset import largest_objects
from detnas_trainer.data.boxes import Boxes

_BEYOND = 0.1
"""Share of boxes that may reach beyond their images before a mistake is suspected."""


@dataclass(frozen=True)
class AnnotatedSplit:
    """One annotation file that has been checked.

    Attributes:
        sha256: digest of the file's content.
        files: image files, relative to the split's image folder, with the displayed (width,
            height) in pixels, in the file's order.
        image_numbers: of each image, from 1, in the order of the file's own ids: COCO's metrics
            break ties between equal scores by it.
        image_ids: the file's own id of each image.
        categories: (id, name) in the file's order, which is the order of the classes. Ids may
            have holes, as COCO's own have: a class is its position, never its id.
        category_numbers: of each class, from 1, in the order of the file's own ids.
        boxes: every annotation.
        largest_objects: side in pixels of the largest object in images of each size.
    """

    sha256: str
    files: dict[str, tuple[int, int]]
    image_numbers: tuple[int, ...]
    image_ids: tuple[int, ...]
    categories: tuple[tuple[int, str], ...]
    category_numbers: tuple[int, ...]
    boxes: Boxes
    largest_objects: dict[tuple[int, int], float]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in their order."""
        return tuple(name for _, name in self.categories)

    @property
    def empty_images(self) -> int:
        """Images without a box that is used."""
        return len(self.files) - len(np.unique(self.boxes.images[self.boxes.used]))

    @property
    def classes_without_boxes(self) -> tuple[str, ...]:
        """Classes of which there is nothing to learn, or nothing to find."""
        found = set(self.boxes.labels[self.boxes.ordinary].tolist())
        return tuple(name for label, name in enumerate(self.classes) if label not in found)


def read_split(path: Path, field: str) -> AnnotatedSplit:
    """Read and check an annotation file.

    Args:
        path: the file.
        field: its name for users, such as ``train``, which begins every message.

    Raises:
        DataError: the file is missing, is not COCO JSON, contradicts itself, or has no box that can
            be learnt.
    """
    content = _read(path, field)
    document = parse_document(content, f"{field}: {path}")
    check_entries(document, path, field)
    return _Checker(document, path, field).split(hashlib.sha256(content).hexdigest())


def check_same_categories(train: AnnotatedSplit, other: AnnotatedSplit, name: str = "val") -> None:
    """Refuse a split whose classes differ from the training's, or are in another order.

    Raises:
        DataError: names what only one of them has.
    """
    if train.categories == other.categories:
        return
    only_train = [entry for entry in train.categories if entry not in other.categories]
    only_other = [entry for entry in other.categories if entry not in train.categories]
    found = (
        f"only in train: {only_train[:5] or 'none'}, only in {name}: {only_other[:5] or 'none'}"
        if only_train or only_other
        else "the same ones in another order"
    )
    raise DataError(
        f"train and {name} list different categories ({found})",
        "give both files the same list of ids and names, in the same order",
    )


def data_digest(train: AnnotatedSplit, val: AnnotatedSplit) -> str:
    """Digest of both files' contents and of the classes: what a pool's identity covers."""
    parts = [train.sha256, val.sha256, list(train.classes)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _read(path: Path, field: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{field}: cannot read {path} ({error.strerror})",
            "give the path of a COCO annotation file, relative to the data set's root",
        ) from error


def _ranks(ids: Sequence[int]) -> tuple[int, ...]:
    """Rank of each id in ascending order, from 1."""
    ranks = {identifier: rank for rank, identifier in enumerate(sorted(ids), start=1)}
    return tuple(ranks[identifier] for identifier in ids)


class _Checker:
    """Checks what the entries of one file must satisfy together."""

    def __init__(self, document: dict[str, Any], path: Path, field: str) -> None:
        self.images = document["images"]
        self.annotations = document["annotations"]
        self.categories = document["categories"]
        self._where = f"{field}: {path}"

    def split(self, sha256: str) -> AnnotatedSplit:
        images = self._positions("images", (image["id"] for image in self.images))
        categories = self._positions("categories", (entry["id"] for entry in self.categories))
        self._positions("category names", (entry["name"] for entry in self.categories))
        self._positions("annotations", (entry["id"] for entry in self.annotations))
        # Two forms of the same letters could name one file.
        names = (normalize("NFC", image["file_name"]) for image in self.images)
        self._positions("file_name of images", names)
        boxes = self._boxes(images, categories)
        self._check_pixels(boxes)
        self._check_reach(boxes)
        self._check_ordinary(boxes)
        return AnnotatedSplit(
            sha256=sha256,
            files={i["file_name"]: (i["width"], i["height"]) for i in self.images},
            image_numbers=_ranks(list(images)),
            image_ids=tuple(images),
            categories=tuple((entry["id"], entry["name"]) for entry in self.categories),
            category_numbers=_ranks(list(categories)),
            boxes=boxes,
            largest_objects=largest_objects(self.images, self.annotations),
        )

    def _positions(self, what: str, values: Iterable[Any]) -> dict[Any, int]:
        positions: dict[Any, int] = {}
        for value in values:
            if value in positions:
                raise DataError(f"{self._where}: {what} has {value!r} twice", "each may occur once")
            positions[value] = len(positions)
        return positions

    def _boxes(self, images: dict[int, int], categories: dict[int, int]) -> Boxes:
        entries = self.annotations
        sizes = np.array([(i["width"], i["height"]) for i in self.images], dtype=np.float64)
        index = np.array(self._places("image_id", images), dtype=np.int64)
        return Boxes(
            images=index,
            labels=np.array(self._places("category_id", categories), dtype=np.int64),
            sides=np.array([entry["bbox"] for entry in entries], dtype=np.float64),
            areas=np.array([entry["area"] for entry in entries], dtype=np.float64),
            crowds=np.array([entry["iscrowd"] for entry in entries], dtype=bool),
            marked=np.array([entry.get("ignore") or 0 for entry in entries], dtype=bool),
            sizes=sizes[index],
        )

    def _places(self, key: str, known: dict[int, int]) -> list[int]:
        places = []
        for position, entry in enumerate(self.annotations):
            place = known.get(entry[key])
            if place is None:
                raise DataError(
                    f"{self._where}: annotations[{position}]: {key} is {entry[key]}, which the "
                    "file does not list",
                    "add the entry or remove the annotation",
                )
            places.append(place)
        return places

    def _check_pixels(self, boxes: Boxes) -> None:
        if boxes.relative:
            raise DataError(
                f"{self._where}: all {len(boxes)} boxes are between 0 and 1, as relative "
                f"coordinates do, first {self.annotations[0]['bbox']}",
                "write [x, y, width, height] in pixels of the image",
            )

    def _check_reach(self, boxes: Boxes) -> None:
        """Boxes may exceed their images a little; if many do, they are not x, y, width, height."""
        beyond = boxes.beyond(boxes.sizes)
        allowed = max(2, _BEYOND * len(boxes))
        if beyond.sum() <= allowed:
            return
        exchanged = boxes.beyond(boxes.sizes[:, ::-1]).sum() <= allowed
        first = self.annotations[int(beyond.argmax())]
        raise DataError(
            f"{self._where}: {beyond.sum()} of {len(boxes)} boxes reach beyond their images, "
            f"first annotation {first['id']} with {first['bbox']}"
            + ("; they fit if the images' width and height are exchanged" if exchanged else ""),
            "give the width and height that the images are displayed with"
            if exchanged
            else "write [x, y, width, height] in pixels, not corners",
        )

    def _check_ordinary(self, boxes: Boxes) -> None:
        """Without ordinary boxes nothing could be learnt, and COCO's metrics would be -1."""
        if boxes.ordinary.any():
            return
        kinds = {
            "mark crowds": boxes.used & boxes.crowds,
            "are below one pixel or have no area": boxes.too_small,
            "are outside their images": boxes.outside,
            "are marked with ignore": boxes.marked,
        }
        found = ", ".join(f"{kind.sum()} {name}" for name, kind in kinds.items() if kind.any())
        raise DataError(
            f"{self._where} holds no box that can be learnt: of {len(boxes)}, {found}",
            "annotate some objects with iscrowd 0 and a box inside the image",
        )
