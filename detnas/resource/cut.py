"""Values of a bounded size: larger ones are cut, so that a status is never refused."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

_ELLIPSIS = "…"
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029], " ")
_REORDERING = dict.fromkeys(
    [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
)
"""Characters that would move a terminal's cursor or reorder a text."""
_REPLACED = _CONTROLS | _REORDERING
_ESCAPED = 6
"""Bytes of an ASCII character that JSON escapes by its number."""


def cut(text: str, size: int) -> str:
    """Return a text in one line that takes at most ``size`` bytes in JSON.

    A longer text ends in an ellipsis.
    """
    if len(text) * _ESCAPED <= size and text.isascii() and text.isprintable():
        return text.strip()  # as are nearly all
    clean = text.translate(_REPLACED).strip()[: size + 1]
    # A lone surrogate has no bytes in UTF-8.
    clean = clean.encode("utf-8", "replace").decode()
    if _size(clean) <= size:
        return clean
    room, kept = size - _size(_ELLIPSIS), 0
    while kept < len(clean) and (taken := _size(clean[kept])) <= room:
        room -= taken
        kept += 1
    return clean[:kept] + _ELLIPSIS


def _size(text: str) -> int:
    """Bytes of a text in JSON as Kubernetes writes it: some characters are escaped by number."""
    more = {'"': 1, "\\": 1, "<": 5, ">": 5, "&": 5, "\u2028": 3, "\u2029": 3}
    return len(text.encode()) + sum(text.count(one) * extra for one, extra in more.items())


def number_text(number: float) -> str:
    """Return a number as the API's strings write it: four digits, no exponent unless it is huge."""
    if not math.isfinite(number):
        return str(number)
    return f"{number:.4f}" if abs(number) < 1_000_000 else f"{number:.3e}"


@dataclass(frozen=True, slots=True)
class AtMost:
    """Annotation that cuts a text to bytes in JSON, or a list to items.

    Attributes:
        size: bytes, or items.
    """

    size: int

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Cut first, then validate."""
        return core_schema.no_info_before_validator_function(self._cut, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """State the size."""
        found = handler(schema)
        return {**found, "maxItems" if found["type"] == "array" else "maxLength": self.size}

    def _cut(self, value: Any) -> Any:
        if isinstance(value, str):
            return cut(value, self.size)
        return value[: self.size] if isinstance(value, list | tuple) else value


def _from_float(value: Any) -> Any:
    return number_text(value) if isinstance(value, int | float) else value


NumberText = Annotated[str, AtMost(32), BeforeValidator(_from_float)]
"""A number in a status: a string, since the API conventions exclude floats; takes floats."""

ShortNumberText = Annotated[str, AtMost(12), BeforeValidator(_from_float)]
"""Likewise, of just the length that every such number fits, where a status has many."""
