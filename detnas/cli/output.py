"""How commands print: tables for people, JSON or YAML for programs."""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml


class Format(StrEnum):
    """Form of a command's output."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


FormatOption = Annotated[
    Format, typer.Option("--output", "-o", help="table for people, json or yaml for programs.")
]


def print_record(record: Mapping[str, Any], form: Format) -> None:
    """Write plain data to standard output as JSON or YAML."""
    if form is Format.JSON:
        typer.echo(json.dumps(record, indent=2, ensure_ascii=False))
    else:
        typer.echo(yaml.safe_dump(dict(record), sort_keys=False, allow_unicode=True), nl=False)
