"""What each field of a COCO annotation file may hold: its type and its range."""

from collections.abc import Callable
from math import isfinite
from typing import Any, NamedTuple

_MAX_SIDE_PIXELS = 1 << 20
"""Pixels; OpenCV reads no longer images."""

_MAX_COORDINATE_PIXELS = 1e9
"""Pixels; arithmetic with values up to here does not overflow."""

_MAX_AREA_PIXELS = 1e10
"""Square pixels; COCO's metrics ignore larger boxes."""

REQUIRED = {
    "images": ("id", "file_name", "width", "height"),
    "categories": ("id", "name"),
    "annotations": ("id", "image_id", "category_id", "bbox", "area", "iscrowd"),
}
"""Fields of each list's entries that training or scoring reads."""

OPTIONAL = {"annotations": ("ignore",)}
"""Fields that have a meaning if they are given."""


class Rule(NamedTuple):
    """Whether a value is right, and the sentence that says what would be."""

    holds: Callable[[Any], bool]
    remedy: str


def _is_number(value: Any) -> bool:
    if type(value) is float:
        return isfinite(value)
    if not _is_whole(value):
        return False
    try:
        return isfinite(value)
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
    return min(value[2:]) >= 0 and max(map(abs, value)) <= _MAX_COORDINATE_PIXELS


def _is_area(value: Any) -> bool:
    """Also below 0, as of a polygon drawn clockwise: such a box is ignored."""
    return _is_number(value) and value <= _MAX_AREA_PIXELS


def _is_flag(value: Any) -> bool:
    return isinstance(value, int) and value in (0, 1)


_WHOLE = Rule(_is_whole, "it must be a whole number")
_SIDE = Rule(_is_side, f"it must be a whole number from 1 to {_MAX_SIDE_PIXELS}")
_TEXT = Rule(_is_text, "it must be a text")
RULES = {
    "id": _WHOLE,
    "image_id": _WHOLE,
    "category_id": _WHOLE,
    "width": _SIDE,
    "height": _SIDE,
    "file_name": _TEXT,
    "name": _TEXT,
    "bbox": Rule(
        _is_box, "write [x, y, width, height] in pixels; width and height cannot be negative"
    ),
    "area": Rule(_is_area, f"it must be a number of at most {_MAX_AREA_PIXELS:.0f}"),
    "iscrowd": Rule(_is_flag, "it must be 0, or 1 for a crowd"),
    "ignore": Rule(
        lambda value: value is None or _is_flag(value), "it must be 0 or 1, or left out"
    ),
}
"""The rule for each field of an entry."""
