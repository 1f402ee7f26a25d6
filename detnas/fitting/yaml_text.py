"""Writes YAML whose values are explained by comments above them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import yaml

_COLUMNS = 100


@dataclass(frozen=True)
class Explained:
    """A value with the reason for it, or a section with a remark."""

    value: Any
    why: str


def yaml_text(document: Mapping[str, Any]) -> str:
    """Return a mapping as YAML; lists are written in one line, reasons above their fields.

    Args:
        document: plain values, mappings and `Explained` ones.
    """
    return "\n".join(_lines(document, 0)) + "\n"


def _lines(section: Mapping[str, Any], depth: int) -> Iterator[str]:
    margin = "  " * depth
    for key, found in section.items():
        value = found
        if isinstance(found, Explained):
            value = found.value
            yield from (f"{margin}# {line}" for line in wrap(found.why, _COLUMNS - 2 - len(margin)))
        if isinstance(value, Mapping):
            yield f"{margin}{key}:"
            yield from _lines(value, depth + 1)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield f"{margin}{key}:"
            yield from (f"{margin}  - {_flow(item)}" for item in value)
        else:
            yield f"{margin}{key}: {_flow(value)}"


def _flow(value: Any) -> str:
    """A value in one line, quoted where YAML would take a text for something else."""
    text: str = yaml.safe_dump(
        value, default_flow_style=True, width=1_000_000, allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("\n...\n").rstrip("\n")
