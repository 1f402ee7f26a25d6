"""COCO JSON: from an annotation file's bytes to entries whose fields each have type and range."""

import json
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from detnas.errors import UserError

_MAX_SHOWN_CHARACTERS = 60

_MAX_SIDE_PIXELS = 1 << 20
"""Pixels; OpenCV reads no longer images."""

_MAX_COORDINATE_PIXELS = 1e9
"""Pixels; arithmetic with values up to here does not overflow."""

_MAX_AREA_PIXELS = 1e10
"""Square pixels; COCO's metrics ignore larger boxes."""

_REQUIRED = {
    "images": ("id", "file_name", "width", "height"),
    "categories": ("id", "name"),
    "annotations": ("id", "image_id", "category_id", "bbox", "area", "iscrowd"),
}
"""Fields of each list's entries that training or scoring reads."""

_OPTIONAL = {"annotations": ("ignore",)}
"""Fields that have a meaning if they are given."""


class DataError(UserError):
    """The data set cannot be used as it is."""


class _Rule(NamedTuple):
    """Whether a value is right, and the sentence that says what would be."""

    holds: Callable[[Any], bool]
    remedy: str


def _is_number(value: Any) -> bool:
    if type(value) is float:
        return isfinite(value)
    if not _is_whole(value):
        return False
    try:
        return bool(isfinite(value))
    except OverflowError:  # whole numbers of any length are JSON
        return False


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_side(value: Any) -> bool:
    return _is_whole(value) and 1 <= value <= _MAX_SIDE_PIXELS


def _is_text(value: Any) -> bool:
    """Whether it could be a name; JSON can also contain half of a surrogate pair."""
    if not (isinstance(value, str) and value) or "\0" in value:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _is_box(value: Any) -> bool:
    if not (isinstance(value, list) and len(value) == 4 and all(map(_is_number, value))):
        return False
    return bool(min(value[2:]) >= 0 and max(map(abs, value)) <= _MAX_COORDINATE_PIXELS)


def _is_area(value: Any) -> bool:
    """Also below 0, as of a polygon drawn clockwise: such a box is ignored."""
    return _is_number(value) and value <= _MAX_AREA_PIXELS


def _is_flag(value: Any) -> bool:
    return isinstance(value, int) and value in (0, 1)


_WHOLE = _Rule(_is_whole, "it must be a whole number")
_SIDE = _Rule(_is_side, f"it must be a whole number from 1 to {_MAX_SIDE_PIXELS}")
_TEXT = _Rule(_is_text, "it must be a text")
_RULES = {
    "id": _WHOLE,
    "image_id": _WHOLE,
    "category_id": _WHOLE,
    "width": _SIDE,
    "height": _SIDE,
    "file_name": _TEXT,
    "name": _TEXT,
    "bbox": _Rule(
        _is_box, "write [x, y, width, height] in pixels; width and height cannot be negative"
    ),
    "area": _Rule(_is_area, f"it must be a number of at most {_MAX_AREA_PIXELS:.0f}"),
    "iscrowd": _Rule(_is_flag, "it must be 0, or 1 for a crowd"),
    "ignore": _Rule(
        lambda value: value is None or _is_flag(value), "it must be 0 or 1, or left out"
    ),
}
"""The rule for each field of an entry."""


def parse_document(content: bytes, where: str) -> dict[str, Any]:
    """The object that an annotation file's content holds; nothing in it is checked.

    Args:
        content: JSON in UTF-8, with or without a byte order mark.
        where: the file, which begins the message.

    Raises:
        DataError: the content is something else.
    """
    text = _text(content, where)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is no JSON ({error})", "give a COCO annotation file") from error
    if not isinstance(document, dict):
        raise DataError(
            f"{where} holds a {type(document).__name__}",
            "a COCO annotation file holds an object with images, annotations and categories",
        )
    return document


def _text(content: bytes, where: str) -> str:
    """Decode UTF-8, whatever the machine's locale."""
    remedy = "save the file as UTF-8"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content[:4]:
        raise DataError(f"{where} is UTF-16 or UTF-32", remedy)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{where} is not UTF-8 (byte {content[error.start]:#x} in line {line})", remedy
        ) from error


def check_entries(document: dict[str, Any], path: Path, field: str) -> None:
    """Check each entry of the lists that training or scoring reads, by itself.

    Args:
        document: of an annotation file.
        path: the file.
        field: its name for users.

    Raises:
        DataError: a list is missing or empty, or a field of an entry is.
    """
    for part in _REQUIRED:
        _check_list(document, part, path, field)


def _check_list(document: dict[str, Any], part: str, path: Path, field: str) -> None:
    entries = document.get(part)
    if not isinstance(entries, list):
        found = "missing" if part not in document else f"a {type(entries).__name__}"
        raise DataError(f"{field}: {part!r} of {path} is {found}", f"{part!r} is a list")
    if not entries:
        raise DataError(f"{field}: {part!r} of {path} is empty", "at least one is needed")
    for position, entry in enumerate(entries):
        if problem := _problem(entry, part):
            found, remedy = problem
            raise DataError(f"{field}: {part}[{position}] of {path}{found}", remedy)


def _problem(entry: Any, part: str) -> tuple[str, str] | None:
    """What is wrong with an entry, and what would be right; a data set may have millions."""
    if not isinstance(entry, dict):
        return f" is {_shown(entry)}", "it must be an object"
    for key in _REQUIRED[part]:
        if key not in entry:
            return f" has no {key!r}", f"it needs {', '.join(_REQUIRED[part])}"
        if not _RULES[key].holds(entry[key]):
            return f": {key} is {_shown(entry[key])}", _RULES[key].remedy
    for key in _OPTIONAL.get(part, ()):
        if key in entry and not _RULES[key].holds(entry[key]):
            return f": {key} is {_shown(entry[key])}", _RULES[key].remedy
    return None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[:_MAX_SHOWN_CHARACTERS]}…"
