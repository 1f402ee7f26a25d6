"""Logs of jobs: a local file while an attempt runs, then an object beside its other files."""

import os
from pathlib import Path
from typing import BinaryIO

_LINES = 20
_BYTES = 8192


def log_end(path: Path, lines: int = _LINES) -> str:
    """Return the last lines of a log, of at most 8 KB; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def open_log(path: Path) -> BinaryIO:
    """Open a log to append to it; where it cannot be written, what is logged is dropped."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")
    except OSError:
        return Path(os.devnull).open("ab")
