"""How a process ended, in one line, where a pod's status can show it."""

import logging
import os
from pathlib import Path

LONGEST = 4096
"""Bytes that Kubernetes takes of a termination message."""

log = logging.getLogger("detnas_trainer")


def leave_last_words(line: str) -> None:
    """Write the line to the file that ``DETNAS_TERMINATION_LOG`` names, if it names one.

    It is a copy for people: nothing depends on it, so a file that can not be written is only
    mentioned.
    """
    name = os.environ.get("DETNAS_TERMINATION_LOG")
    if not name:
        return
    try:
        Path(name).write_bytes(shortened(line))
    except OSError as error:
        log.warning("DETNAS_TERMINATION_LOG: %s", error)


def shortened(line: str, limit: int = LONGEST) -> bytes:
    """The line as UTF-8 of at most so many bytes, no character cut in two."""
    data = line.encode(errors="replace")
    if len(data) <= limit:
        return data
    cut = data[: limit - len("…".encode())].decode(errors="ignore")
    return f"{cut}…".encode()
