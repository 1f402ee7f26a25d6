"""The termination message: the line that Kubernetes shows of a container that ended."""

import logging
import os
from pathlib import Path

log = logging.getLogger("detnas_trainer")

MAX_MESSAGE_BYTES = 4096
"""Bytes that Kubernetes takes of a termination message."""


def write_termination_message(line: str) -> None:
    """Write the line to the file that ``DETNAS_TERMINATION_LOG`` names, if it names one.

    It is a copy for people: nothing depends on it, so a file that cannot be written is only
    mentioned.
    """
    name = os.environ.get("DETNAS_TERMINATION_LOG")
    if not name:
        return
    try:
        Path(name).write_bytes(shortened(line))
    except OSError as error:
        log.warning("DETNAS_TERMINATION_LOG: %s", error)


def shortened(line: str) -> bytes:
    """The line as UTF-8 of at most `MAX_MESSAGE_BYTES` bytes, without incomplete characters."""
    data = line.encode(errors="replace")
    if len(data) <= MAX_MESSAGE_BYTES:
        return data
    cut = data[: MAX_MESSAGE_BYTES - len("…".encode())].decode(errors="ignore")
    return f"{cut}…".encode()
