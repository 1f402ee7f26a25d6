"""From a folder or file of somebody's data set to COCO splits, nothing of it changed."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detnas.data_identity.files import stamps_of
from detnas.errors import UserError
from detnas.own_data.coco import (
    UNSPLIT,
    Document,
    Part,
    find_coco,
    image_folders,
    images_of,
    read_coco,
)
from detnas.own_data.converting import convert_voc, convert_yolo
from detnas.own_data.files import files_below
from detnas.own_data.huggingface import convert_saved
from detnas.own_data.made import claim, made_from, origin_of, write_made
from detnas.own_data.splitting import SHARE, divide

FORMATS = (
    "COCO json; YOLO (data.yaml, images and labels); Pascal VOC (an .xml beside or for each "
    "image); a Hugging Face dataset on disk (saved with save_to_disk)"
)
ALL_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Format:
    """A format that is converted.

    Attributes:
        name: for people.
        convert: from the data set's folder, and what claims the folder beside it, to COCO documents
            by split; None if the data set is of another format.
        writes_images: whether images become files beside it, because they are none.
    """

    name: str
    convert: Callable[[Path, Callable[[], Path]], dict[str, Document] | None]
    writes_images: bool = False


CONVERTED = (
    Format("YOLO", lambda root, _: convert_yolo(root)),
    Format("Pascal VOC", lambda root, _: convert_voc(root)),
    Format("Hugging Face", convert_saved, writes_images=True),
)
"""In the order in which they are tried."""


@dataclass(frozen=True)
class OwnData:
    """A data set, ready for a manifest.

    Attributes:
        form: what it was recognised as, for people.
        root: folder that contains everything.
        parts: each split.
        notes: what was done, a line each.
    """

    form: str
    root: Path
    parts: dict[str, Part]
    notes: tuple[str, ...] = field(default=())


def find_data(data: Path, beside: Path | None = None, *, replace: bool = False) -> OwnData:
    """Recognise a data set, and divide it if it has no validation or no test split.

    Args:
        data: the data set's folder, or a COCO file.
        beside: folder for annotations that are written; by default the data set's name with
            ``-coco``, beside it.
        replace: write them again if they were made from something else.

    Raises:
        UserError: it is none of the known formats, or its parts contradict each other.
    """
    if not data.exists():
        raise UserError(f"{data} does not exist", "give the folder of a data set, or a COCO file")
    data = data.resolve()
    folder = data.parent if data.is_file() else data
    place = _written_to(data, beside)
    parts = _one_file(data) if data.is_file() else find_coco(data)
    if parts:
        return _divided(folder, parts, place, replace=replace)
    for form in CONVERTED:
        if (own := _converted(form, folder, place, replace=replace)) is not None:
            return own
    raise UserError(
        f"{data} is no data set that is known here: {_seen(folder)}",
        f"give a folder with one of these: {FORMATS}",
    )


def _one_file(path: Path) -> dict[str, Part]:
    document = read_coco(path)
    if document is None:
        raise UserError(
            f"{path} is no COCO file of boxes: it lacks images, annotations with bbox, or "
            "categories",
            "give a COCO annotation file, or the data set's folder",
        )
    return {UNSPLIT: Part(path, images_of(document, path, image_folders(path.parent)), document)}


def _written_to(data: Path, beside: Path | None) -> Path:
    if beside is not None:
        return beside.resolve()
    return data.parent / f"{data.stem if data.is_file() else data.name}-coco"


def _seen(folder: Path) -> str:
    kinds: dict[str, int] = {}
    for path in files_below(folder, [""]):
        kinds[path.suffix or "no suffix"] = kinds.get(path.suffix or "no suffix", 0) + 1
    most = sorted(kinds.items(), key=lambda kind: -kind[1])[:4]
    return ", ".join(f"{count} × {kind}" for kind, count in most) or "it holds no files"


def _divided(root: Path, parts: dict[str, Part], place: Path, *, replace: bool) -> OwnData:
    """The same with train, val and test; what is missing is taken out of what there is."""
    largest = _largest(root, parts)
    _check_classes(parts)
    missing = [split for split in ALL_SPLITS[1:] if split not in parts]
    if not missing and largest == "train":
        return OwnData("COCO", root, {split: parts[split] for split in ALL_SPLITS})
    divided = divide(parts[largest].document, dict.fromkeys(missing, SHARE), "train")
    made = {
        split: Part(place / f"{split}.json", parts[largest].images, one)
        for split, one in divided.items()
    }
    origin = {split: _content(part) for split, part in parts.items()}
    write_made(place, _by_file(made), origin, replace=replace)
    note = f"{parts[largest].annotations} is divided into {_counts(made)}: {place}"
    every = {**parts, **made}
    return OwnData("COCO", _common(root, place), {s: every[s] for s in ALL_SPLITS}, (note,))


def _converted(form: Format, root: Path, place: Path, *, replace: bool) -> OwnData | None:
    """A data set of another format, converted and divided once; None if it is of another one."""
    origin = {"format": form.name, "files": _stamps(root)}
    files = {split: place / f"{split}.json" for split in ALL_SPLITS}
    if made_from(place) == origin_of(origin) and all(path.is_file() for path in files.values()):
        documents = {split: json.loads(path.read_bytes()) for split, path in files.items()}
        note = f"converted before: {place}"
    else:
        names = [path.name for path in files.values()]
        found = form.convert(root, lambda: claim(place, names, origin, replace=replace))
        if found is None:
            return None
        _check_not_empty(root, form.name, found)
        documents = _every_split(root, found)
        write_made(
            place,
            {files[split].name: one for split, one in documents.items()},
            origin,
            replace=replace,
        )
        images = "written there, too" if form.writes_images else "not moved"
        note = f"converted to COCO in {place}; images are {images}"
    images_at = place if form.writes_images else root
    parts = {split: Part(files[split], images_at, documents[split]) for split in ALL_SPLITS}
    return OwnData(form.name, _common(root, place), parts, (note, f"splits: {_counts(parts)}"))


def _check_not_empty(root: Path, form: str, found: Mapping[str, Document]) -> None:
    if not any(one["annotations"] for one in found.values()):
        images = sum(len(one["images"]) for one in found.values())
        raise UserError(
            f"{root}: {form} with {images} images, and not one box",
            "labels have the same names as their images; see docs/your-own-data.md",
        )


def _every_split(root: Path, found: dict[str, Document]) -> dict[str, Document]:
    largest = _largest(root, found)
    missing = [split for split in ALL_SPLITS[1:] if split not in found]
    if missing or largest == UNSPLIT:
        found = {**found, **divide(found[largest], dict.fromkeys(missing, SHARE), "train")}
    return {split: found[split] for split in ALL_SPLITS}


def _largest(root: Path, parts: Mapping[str, Any]) -> str:
    """The split that others are taken out of."""
    largest = "train" if "train" in parts else UNSPLIT
    if largest not in parts:
        raise UserError(
            f"{root} has no training split, only {', '.join(parts)}",
            "name one annotation file, or its folder, train",
        )
    return largest


def _counts(parts: Mapping[str, Part]) -> str:
    return ", ".join(f"{len(parts[s].document['images'])} {s}" for s in ALL_SPLITS if s in parts)


def _by_file(parts: Mapping[str, Part]) -> dict[str, Document]:
    return {part.annotations.name: part.document for part in parts.values()}


def _stamps(root: Path) -> str:
    """Digest of the names, sizes and times of all files: whether anything has changed."""
    stamps = stamps_of(files_below(root, [""]))
    lines = sorted(
        (str(Path(path).relative_to(root)), size, changed)
        for path, (size, changed, _) in stamps.items()
    )
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()


def _common(root: Path, place: Path) -> Path:
    return Path(os.path.commonpath([root, place]))


def _content(part: Part) -> str:
    return hashlib.sha256(part.annotations.read_bytes()).hexdigest()


def _check_classes(parts: Mapping[str, Part]) -> None:
    lists = {
        split: [(entry["id"], entry["name"]) for entry in part.document["categories"]]
        for split, part in parts.items()
    }
    first = next(iter(lists))
    for split, found in lists.items():
        if found != lists[first]:
            differ = [one for one in found if one not in lists[first]]
            differ += [one for one in lists[first] if one not in found]
            raise UserError(
                f"{parts[split].annotations} and {parts[first].annotations} list different "
                f"categories ({str(differ[:5])[1:-1] or 'the same ones in another order'})",
                "give all files the same list of ids and names, in the same order",
            )
