"""Logs of jobs: a local file while an attempt runs, then an object beside its other files."""

import os
from pathlib import Path

_LINES = 20
_BYTES = 8192


def log_end(path: Path, lines: int = _LINES) -> str:
    """Return the last lines of a log, of at most 8 KB; empty where there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
