"""From a dataset that Hugging Face's `datasets` saved to COCO; its images become files."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from detnas.errors import UserError
from detnas.optional_imports import require_module
from detnas.own_data.coco import UNSPLIT, Document
from detnas.own_data.converting import numbered

IMAGES = "images"
_SAVED = ("dataset_dict.json", "state.json")
_SPLITS = {"train": "train", "validation": "val", "valid": "val", "val": "val", "test": "test"}
_BOXES = ("bbox", "bboxes", "boxes")
_CLASSES = ("category", "categories", "category_id", "label", "labels")
_CROWDS = ("iscrowd", "is_crowd")
_SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations with which width and height are exchanged on display."""

_ORIENTATION = 0x0112

Row = tuple[dict[str, Any], list[dict[str, Any]]]


def convert_saved(root: Path, claim: Callable[[], Path]) -> dict[str, Document] | None:
    """Return COCO documents by split, or under ``all``; None if the folder is no saved dataset.

    The images are written to the folder ``images`` in the claimed one, as the bytes that the
    dataset has; those that are there already are not written again. Names are relative to it.

    Args:
        root: the dataset's folder.
        claim: returns the folder that may be written to; called once it is known what is written.

    Raises:
        UserError: its columns are not those of a detection data set; the message names them.
    """
    if not any((root / name).is_file() for name in _SAVED):
        return None
    datasets = require_module("datasets", "converting a Hugging Face dataset", "datasets", "data")
    try:
        loaded = datasets.load_from_disk(str(root))
    except (ValueError, OSError, LookupError) as error:
        problem = f"{root} cannot be loaded by datasets: {' '.join(str(error).split())}"
        raise UserError(problem, "save it again with save_to_disk") from error
    splits = loaded if isinstance(loaded, Mapping) else {UNSPLIT: loaded}
    names = _class_names(root, next(iter(splits.values())))
    categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    place = claim()
    return {
        _split(root, name, len(splits)): numbered(
            _rows(_with_bytes(datasets, split), name, names, place), categories
        )
        for name, split in splits.items()
    }


def _split(root: Path, name: str, count: int) -> str:
    if name in _SPLITS:
        return _SPLITS[name]
    if count == 1:
        return UNSPLIT
    raise UserError(
        f"{root} has a split {name}, which is none of {', '.join(_SPLITS)}",
        "rename it or leave it out",
    )


def _with_bytes(datasets: Any, split: Any) -> Any:
    return split.cast_column("image", datasets.Image(decode=False))


def _class_names(root: Path, split: Any) -> Sequence[str]:
    """Names by number, which the column of classes has."""
    features = split.features
    missing = [column for column in ("image", "objects") if column not in features]
    if missing:
        raise UserError(
            f"{root} has no column {' and no column '.join(missing)}, only {', '.join(features)}",
            "name them image and objects; objects has bbox and category",
        )
    fields = _fields(features["objects"])
    column = _first(root, fields, _CLASSES)
    _first(root, fields, _BOXES)
    inner = getattr(fields[column], "feature", fields[column])
    names = getattr(inner, "names", None)
    if names is None:
        raise UserError(
            f"{root}: objects.{column} has numbers without names",
            "cast it to datasets.ClassLabel(names=[…]) and save the dataset again",
        )
    return list(names)


def _fields(objects: Any) -> Mapping[str, Any]:
    """Fields of an object, of a column that is a mapping of lists or a list of mappings."""
    inner = objects if isinstance(objects, Mapping) else getattr(objects, "feature", None)
    return inner if isinstance(inner, Mapping) else {}


def _first(root: Path, fields: Mapping[str, Any], wanted: Sequence[str]) -> str:
    for name in wanted:
        if name in fields:
            return name
    raise UserError(
        f"{root}: objects has none of {', '.join(wanted)}, only {', '.join(fields) or 'nothing'}",
        "objects needs bbox (x, y, width, height in pixels) and category",
    )


def _rows(split: Any, name: str, names: Sequence[str], place: Path) -> Iterator[Row]:
    """Each image with its boxes; the image is written before."""
    progress = track(
        split,
        f"writing images of {name}",
        total=len(split),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    )
    for number, row in enumerate(progress):
        content = row["image"]["bytes"]
        if content is None:
            content = Path(row["image"]["path"]).read_bytes()
        image = _described(content, f"{name}[{number}]")
        file = f"{IMAGES}/{name}/{number:07}.{image.pop('format')}"
        _write(place / file, content)
        yield {"file_name": file, **image}, list(_boxes(row["objects"], len(names)))


def _described(content: bytes, where: str) -> dict[str, Any]:
    """Format, and width and height in pixels as displayed."""
    reader = require_module("PIL.Image", "converting a Hugging Face dataset", "pillow", "data")
    try:
        with reader.open(BytesIO(content)) as image:
            sides = image.size
            if image.getexif().get(_ORIENTATION) in _SIDEWAYS:
                sides = sides[::-1]
            form = str(image.format).lower()
    except (OSError, ValueError) as error:
        raise UserError(f"{where}: the image cannot be read ({error})", "leave it out") from error
    return {"format": form, "width": sides[0], "height": sides[1]}


def _boxes(objects: Any, classes: int) -> Iterator[dict[str, Any]]:
    rows = objects if isinstance(objects, list) else _transposed(objects)
    for row in rows:
        box = [float(side) for side in next(row[key] for key in _BOXES if key in row)]
        label = int(next(row[key] for key in _CLASSES if key in row))
        if not 0 <= label < classes:
            raise UserError(
                f"an object has the class {label}, and there are {classes} names",
                "remove it, or name every class",
            )
        crowd = next((row[key] for key in _CROWDS if key in row), 0)
        yield {
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": int(bool(crowd)),
            "category_id": label + 1,
        }


def _transposed(objects: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    for values in zip(*objects.values(), strict=True):
        yield dict(zip(objects, values, strict=True))


def _write(path: Path, content: bytes) -> None:
    """Write an image, unless an earlier run has."""
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(content)
    partial.replace(path)
