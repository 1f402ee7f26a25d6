"""How commands print: tables for people, JSON or YAML for programs."""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console, RenderableType
from rich.segment import Segment, Segments


class Format(StrEnum):
    """Form of a command's output."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


FormatOption = Annotated[
    Format, typer.Option("--output", "-o", help="table for people, json or yaml for programs.")
]


_UNBROKEN = 10_000
"""Columns; far more than a line has."""


def print_whole(shown: RenderableType) -> None:
    """Write to standard output without breaking a line, so that names can be copied and grepped.

    A terminal wraps what is wider than itself, and knows that it is one line.
    """
    console = Console(width=_UNBROKEN)
    for line in console.render_lines(shown, pad=False):
        while line and not line[-1].text.strip():  # a table fills its last column up
            line.pop()
        kept = [*line[:-1], *(Segment(last.text.rstrip(), last.style) for last in line[-1:])]
        console.print(Segments([*kept, Segment.line()]), end="")


def print_record(record: Mapping[str, Any], form: Format) -> None:
    """Write plain data to standard output as JSON or YAML."""
    if form is Format.JSON:
        typer.echo(json.dumps(record, indent=2, ensure_ascii=False))
    else:
        typer.echo(yaml.safe_dump(dict(record), sort_keys=False, allow_unicode=True), nl=False)
