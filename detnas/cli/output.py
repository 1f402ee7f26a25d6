"""How commands print: tables for people, JSON or YAML for programs."""

import errno
import json
import signal
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml
from rich.console import RenderableType
from rich.segment import Segment, Segments

from detnas.cli.terminal import console, show_error
from detnas.errors import UserError
from detnas.process_setup import failure_of


class Format(StrEnum):
    """Format of a command's output."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


FormatOption = Annotated[
    Format, typer.Option("--output", "-o", help="table for people, json or yaml for programs.")
]


_UNBROKEN = 10_000
"""Columns; far more than any line has."""

_NOT_WRITTEN = 1
_PIPE_CLOSED = 128 + signal.SIGPIPE


def print_lines(shown: RenderableType) -> None:
    """Write to standard output without breaking a line, so that names can be copied and grepped.

    A terminal wraps what is wider than itself, and still treats it as one line.

    Raises:
        typer.Exit: it could not be written, and is the command's only output.
    """
    out = console(width=_UNBROKEN)
    for line in out.render_lines(shown, pad=False):
        while line and not line[-1].text.strip():  # a table pads its last column
            line.pop()
        kept = [*line[:-1], *(Segment(last.text.rstrip(), last.style) for last in line[-1:])]
        out.print(Segments([*kept, Segment.line()]), end="")
    _check_that_it_was_written()


def print_record(record: Mapping[str, Any], form: Format) -> None:
    """Write plain data to standard output as JSON or YAML.

    Raises:
        typer.Exit: it could not be written, and is the command's only output.
    """
    write_record(record, form)
    _check_that_it_was_written()


def write_record(record: Mapping[str, Any], form: Format) -> None:
    """The same for a command whose main work is done, so that a failed write does not fail it."""
    text = _as_text(record, form, escaped=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = _as_text(record, form, escaped=True)
    sys.stdout.write(text)


def _as_text(record: Mapping[str, Any], form: Format, *, escaped: bool) -> str:
    if form is Format.JSON:
        return json.dumps(record, indent=2, ensure_ascii=escaped) + "\n"
    return str(yaml.safe_dump(dict(record), sort_keys=False, allow_unicode=not escaped))


def _check_that_it_was_written() -> None:
    failure = failure_of(sys.stdout)
    if failure is None:
        return
    if failure.errno == errno.EPIPE:  # the reader has closed the pipe
        raise typer.Exit(_PIPE_CLOSED)
    problem = f"standard output cannot be written ({failure.strerror})"
    show_error(UserError(problem, "send it elsewhere"))
    raise typer.Exit(_NOT_WRITTEN)
