"""COCO as people have it: which file is which split, and where its images are."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detnas.data_identity.files import find_image
from detnas.errors import UserError
from detnas.own_data.coco_json import check_entries, parse_document
from detnas.own_data.files import files_below

Document = dict[str, Any]
"""The content of a COCO annotation file."""

UNSPLIT = "all"
"""Name of the one part of a data set that nobody has split."""

_SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
_WORD = re.compile(r"[a-z]+")
_PREFERRED = "instances"
"""COCO's own files of boxes, beside those of captions and keypoints."""

_LISTS = ("images", "annotations", "categories")
_TRIED = 20
"""Images by which a folder is recognised."""


@dataclass(frozen=True)
class Part:
    """One annotated part of a data set: a split, or all of it.

    Attributes:
        annotations: the COCO file.
        images: the folder that its `file_name`s are relative to.
        document: its content.
    """

    annotations: Path
    images: Path
    document: Document


def split_of(path: Path, root: Path) -> str | None:
    """Return the split that a file's name, or a folder's on the way to it, names.

    Args:
        path: of the file.
        root: of the data set; names above it do not count.
    """
    inner = path.relative_to(root)
    for name in (inner.stem, *reversed(inner.parts[:-1])):
        words = _WORD.findall(name.lower())
        found = {_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS}
        if len(found) == 1:
            return found.pop()
    return None


def read_coco(path: Path) -> Document | None:
    """Return a file's content if it is a COCO file of boxes, with each entry checked.

    Files without COCO's lists, such as a configuration or captions, give None.

    Raises:
        DataError: it is COCO, or JSON that cannot be read, and something in it is wrong.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})", "make it readable") from error
    if not all(f'"{name}"'.encode() in content for name in _LISTS):
        return None
    document = parse_document(content, str(path))
    entries = document.get("annotations")
    if not isinstance(entries, list) or not any("bbox" in entry for entry in entries[:1]):
        return None
    check_entries(document, path, path.stem)
    return document


def find_coco(root: Path) -> dict[str, Part]:
    """Return the parts of a COCO data set by split, or the one part, under ``all``.

    Args:
        root: the data set's folder.

    Raises:
        UserError: several files claim one split, or images are nowhere.
        DataError: an annotation file is wrong.
    """
    named: dict[str | None, list[tuple[Path, Document]]] = {}
    for path in files_below(root, [".json"]):
        if (document := read_coco(path)) is not None:
            named.setdefault(split_of(path, root), []).append((path, document))
    if not named:
        return {}
    chosen = {split: _one(split, files) for split, files in named.items()}
    if None in chosen and len(chosen) > 1:
        others = ", ".join(str(path) for split, (path, _) in chosen.items() if split)
        raise UserError(
            f"{chosen[None][0]} names no split, and beside it are {others}",
            "name it train, val or test, or move it elsewhere",
        )
    folders = image_folders(root)
    return {
        split or UNSPLIT: Part(path, images_of(document, path, folders), document)
        for split, (path, document) in chosen.items()
    }


def _one(split: str | None, files: list[tuple[Path, Document]]) -> tuple[Path, Document]:
    preferred = [file for file in files if _PREFERRED in file[0].stem] or files
    if len(preferred) == 1:
        return preferred[0]
    found = ", ".join(str(path) for path, _ in preferred)
    raise UserError(
        f"{len(preferred)} annotation files "
        + (f"are called {split}: {found}" if split else f"name no split: {found}"),
        "keep one for each of train, val and test, or give one of them in place of the folder",
    )


def image_folders(root: Path) -> list[Path]:
    """Return the folder and every one below it, nearest first."""
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    hidden = [any(part[0] == "." for part in f.relative_to(root).parts) for f in folders]
    visible = [folder for folder, is_hidden in zip(folders, hidden, strict=True) if not is_hidden]
    return sorted(visible, key=lambda folder: (len(folder.parts), folder))


def images_of(document: Mapping[str, Any], path: Path, folders: Iterable[Path]) -> Path:
    """Return the folder that holds a file's images.

    Twenty of them are looked for. Of several folders the one that has most counts; of equals the
    annotation file's own, then the one nearest to the data set's.

    Raises:
        UserError: no folder has any of them.
    """
    images = document["images"]
    step = max(1, len(images) // _TRIED)
    names = [image["file_name"] for image in images[::step]]
    candidates = list(dict.fromkeys([path.parent, *folders]))
    found = [sum(find_image(folder, name).is_file() for name in names) for folder in candidates]
    best = max(found)
    if not best:
        raise UserError(
            f"{path}: image {names[0]} is neither beside the file nor in a folder below "
            f"{candidates[-1] if len(candidates) == 1 else candidates[1]}",
            "put the images into the data set's folder, named as file_name has them",
        )
    return candidates[found.index(best)]
