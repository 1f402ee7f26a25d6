"""How every command writes: colours and cursor codes only to a terminal."""

import sys

from rich.console import Console
from rich.text import Text
from typer import rich_utils


def console(*, err: bool = False, width: int | None = None) -> Console:
    """Return a console for standard output, or standard error, as it is now.

    A file or a pipe gets neither colours nor cursor codes, whatever the environment requests;
    nor does a terminal with ``NO_COLOR`` or ``TERM=dumb``.

    Args:
        err: whether it is for standard error.
        width: columns; by default the terminal's.
    """
    stream = sys.stderr if err else sys.stdout
    return Console(file=stream, force_terminal=None if stream.isatty() else False, width=width)


def keep_codes_off_files() -> None:
    """Apply the rule of `console` to Typer's own output, help and usage errors."""
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        rich_utils.FORCE_TERMINAL = False  # else FORCE_COLOR would decide


def say(text: str, *, err: bool = False, style: str = "") -> None:
    """Write a line, which only a terminal wraps."""
    console(err=err).print(Text(text, style), soft_wrap=True)


def show_error(error: Exception) -> None:
    """Write on standard error what went wrong."""
    say(f"error: {error}", err=True, style="red")
