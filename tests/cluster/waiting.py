"""Waiting for what happens elsewhere."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def eventually(find: Callable[[], Found], seconds: float = 15) -> Found:
    """Wait until something is found, and return it."""
    until = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.05)
    return found
