"""YOLO and Pascal VOC as people have them: which images have their labels where, in which split."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from detnas.errors import UserError
from detnas.own_data.coco import UNSPLIT, split_of
from detnas.own_data.files import IMAGE_SUFFIXES, files_below

_YOLO_FIELDS = {"train": "train", "val": "val", "valid": "val", "test": "test"}
_VOC_LISTS = ("train", "val", "test")


@dataclass(frozen=True)
class LabelledFolder:
    """Images of one folder, and the folder of their labels.

    Attributes:
        images: the folder; images in folders below it belong to others.
        labels: the folder of files that are named as the images.
        split: that they belong to; ``all`` if nothing says so.
    """

    images: Path
    labels: Path
    split: str


def data_yaml(root: Path) -> Path | None:
    """Return the YOLO description of a data set, which lists its classes under `names`."""
    for path in files_below(root, [".yaml", ".yml"]):
        if len(path.relative_to(root).parts) == 1 and "names" in _description(path):
            return path
    return None


def _description(path: Path) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no YAML ({error})", "repair the file") from error
    return found if isinstance(found, dict) else {}


def yolo_folders(root: Path, description: Path) -> list[LabelledFolder]:
    """Return the folders that a data.yaml names, or those called images if it names none.

    Raises:
        UserError: a folder is missing, or two splits have the same one.
    """
    fields = _description(description)
    named: dict[Path, str] = {}
    for field, split in _YOLO_FIELDS.items():
        for entry in _entries(fields.get(field)):
            folder = _resolved(description, fields.get("path"), field, entry)
            if named.setdefault(folder, split) != split:
                raise UserError(
                    f"{description}: {named[folder]} and {split} are the same images, {folder}",
                    f"give each split images of its own, or remove the field {field}: `detnas "
                    "init` then divides them",
                )
    if not named:
        named = {folder: split_of(folder / "x", root) or UNSPLIT for folder in _with_images([root])}
    return [
        LabelledFolder(inner, labels, split)
        for folder, split in named.items()
        for inner in _with_images([folder])
        if (labels := _labels_of(inner)).is_dir()
    ]


def _entries(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(one) for one in (value if isinstance(value, list) else [value])]


def _resolved(description: Path, path: Any, field: str, entry: str) -> Path:
    """A folder of images as data.yaml means it: its `path`, its own folder, or Roboflow's `../`."""
    here = description.parent
    starts = [here / str(path or ""), here, here / "images"]
    tried = [start / name for name in (entry, entry.removeprefix("../")) for start in starts]
    for folder in tried:
        if folder.is_dir():
            return folder.resolve()
    problem = "is a list of files" if entry.endswith(".txt") else "is no folder"
    raise UserError(
        f"{description}: {field} names {entry}, which {problem} ({tried[0]})",
        "name the folder of the split's images, relative to data.yaml",
    )


def _with_images(folders: Iterable[Path]) -> list[Path]:
    """The folders, and those below, that contain images themselves."""
    return sorted(
        {path.parent for folder in folders for path in files_below(folder, IMAGE_SUFFIXES)}
    )


def _labels_of(images: Path) -> Path:
    """The folder that YOLO reads labels from: the last `images` of the path becomes `labels`."""
    parts = list(images.parts)
    for position in range(len(parts) - 1, -1, -1):
        if parts[position] == "images":
            return Path(*parts[:position], "labels", *parts[position + 1 :])
    return images


def voc_folders(root: Path) -> list[LabelledFolder]:
    """Return the folders whose .xml files annotate images of Pascal VOC.

    The annotations are beside the images, or in a folder `Annotations` beside theirs.
    """
    labels = {path.parent for path in files_below(root, [".xml"]) if _is_voc(path)}
    found = []
    for folder in sorted(labels):
        beside = _with_images([folder])
        others = _with_images([folder.parent]) if folder != root else []
        images = folder if folder in beside else next((o for o in others if o != folder), None)
        if images is None:
            raise UserError(
                f"{folder} has annotations of Pascal VOC, and no images are beside it",
                "put the images into a folder JPEGImages beside it",
            )
        found.append(LabelledFolder(images, folder, split_of(images / "x", root) or UNSPLIT))
    return found


def _is_voc(path: Path) -> bool:
    return b"<annotation" in path.read_bytes()[:400]


def voc_lists(root: Path) -> dict[str, str]:
    """Return the split of each image's name, without suffix, by `ImageSets/Main` if there is one.

    Raises:
        UserError: an image is in two splits.
    """
    found: dict[str, str] = {}
    for folder in root.rglob("ImageSets/Main"):
        for split in _VOC_LISTS:
            path = folder / f"{split}.txt"
            for line in path.read_text(encoding="utf-8").split("\n") if path.is_file() else ():
                name = line.split(" ", maxsplit=1)[0].strip()
                if name and found.setdefault(name, split) != split:
                    raise UserError(
                        f"{path}: {name} is in {found[name]}, too", "keep it in one of them"
                    )
    return found
