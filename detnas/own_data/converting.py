"""From YOLO and Pascal VOC to COCO, by supervision; images stay where they are."""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree.ElementTree import ParseError

from detnas.errors import UserError
from detnas.optional_imports import require_module
from detnas.own_data.coco import UNSPLIT, Document
from detnas.own_data.labelled_folders import (
    LabelledFolder,
    data_yaml,
    voc_folders,
    voc_lists,
    yolo_folders,
)

_KEPT = {
    "images": ("file_name", "width", "height"),
    "annotations": ("bbox", "area", "iscrowd"),
}


def convert_yolo(root: Path) -> dict[str, Document] | None:
    """Return COCO documents of a YOLO data set by split, or under ``all``; None if it is none.

    Names of images are relative to `root`.

    Raises:
        UserError: it cannot be read; the message names the file.
    """
    description = data_yaml(root)
    if description is None:
        return None
    folders = yolo_folders(root, description)
    if not folders:
        raise UserError(
            f"{description}: no folder of images has a folder of labels beside it",
            "put labels into labels/ where the images are in images/",
        )
    loaded = require_module(
        "supervision", "converting YOLO", "supervision", "data"
    ).DetectionDataset

    def read(folder: LabelledFolder) -> Any:
        return loaded.from_yolo(
            images_directory_path=str(folder.images),
            annotations_directory_path=str(folder.labels),
            data_yaml_path=str(description),
            show_progress=sys.stderr.isatty(),
        )

    return _joined(root, [(folder, _as_coco(read, folder, "YOLO")) for folder in folders], {})


def convert_voc(root: Path) -> dict[str, Document] | None:
    """Return the same of Pascal VOC."""
    folders = voc_folders(root)
    if not folders:
        return None
    loaded = require_module(
        "supervision", "converting Pascal VOC", "supervision", "data"
    ).DetectionDataset

    def read(folder: LabelledFolder) -> Any:
        return loaded.from_pascal_voc(
            images_directory_path=str(folder.images),
            annotations_directory_path=str(folder.labels),
            show_progress=sys.stderr.isatty(),
        )

    documents = [(folder, _as_coco(read, folder, "Pascal VOC")) for folder in folders]
    return _joined(root, documents, voc_lists(root))


def _supervision(form: str) -> Any:
    """Its data set, which reads and writes formats."""
    module = require_module("supervision", f"converting {form}", "supervision", "data")
    return module.DetectionDataset


def _as_coco(read: Any, folder: LabelledFolder, form: str) -> Document:
    """What supervision writes of a folder, read again."""
    try:
        with TemporaryDirectory() as scratch:
            path = Path(scratch) / "coco.json"
            read(folder).as_coco(annotations_path=str(path))
            document: Document = json.loads(path.read_bytes())
    except (ValueError, LookupError, OSError, ParseError) as error:
        raise UserError(
            f"{folder.labels} cannot be read as {form}: {' '.join(str(error).split())}",
            "repair the file that it names",
        ) from error
    return document


def _joined(
    root: Path,
    found: Iterable[tuple[LabelledFolder, Document]],
    lists: Mapping[str, str],
) -> dict[str, Document]:
    """One document for each split, in the order of names; equal classes have equal ids.

    Args:
        root: that names become relative to.
        found: what each folder holds.
        lists: split of an image by its name without suffix, which overrides that of its folder.
    """
    found = list(found)
    names = list(dict.fromkeys(entry["name"] for _, one in found for entry in one["categories"]))
    numbers = {name: number for number, name in enumerate(names, start=1)}
    rows: dict[str, list[tuple[dict[str, Any], list[dict[str, Any]]]]] = {}
    for folder, document in found:
        classes = {entry["id"]: numbers[entry["name"]] for entry in document["categories"]}
        boxes: dict[int, list[dict[str, Any]]] = {}
        for box in document["annotations"]:
            kept = {key: box[key] for key in _KEPT["annotations"]}
            boxes.setdefault(box["image_id"], []).append(
                {**kept, "category_id": classes[box["category_id"]]}
            )
        for image in document["images"]:
            path = (folder.images / image["file_name"]).relative_to(root)
            split = lists.get(path.stem, UNSPLIT if lists else folder.split)
            kept = {key: image[key] for key in _KEPT["images"]}
            row = ({**kept, "file_name": path.as_posix()}, boxes.get(image["id"], []))
            rows.setdefault(split, []).append(row)
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    return {split: numbered(some, categories) for split, some in rows.items()}


def numbered(
    rows: Iterable[tuple[dict[str, Any], list[dict[str, Any]]]], categories: list[dict[str, Any]]
) -> Document:
    """Return a COCO document of images, each with its boxes, in the order of the images' names."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (image, boxes) in enumerate(sorted(rows, key=lambda row: row[0]["file_name"]), 1):
        images.append({"id": number, **image})
        for box in boxes:
            annotations.append({"id": len(annotations) + 1, "image_id": number, **box})
    return {"images": images, "annotations": annotations, "categories": categories}
