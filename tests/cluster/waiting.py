"""Waiting for what happens elsewhere."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")
PATIENCE = 120.0
"""Seconds for a busy machine: nothing waits longer for them, but a test that fails."""


def eventually(find: Callable[[], Found], seconds: float = PATIENCE) -> Found:
    """Wait until something is found, and return it.

    A field that is not written yet (a KeyError) is not found either. It looks less often the longer
    it waits, since every look costs the processors that all tests share.
    """
    begun = time.monotonic()
    until = begun + seconds
    while True:
        try:
            found, missing = find(), ""
        except KeyError as error:
            found, missing = None, f"; the field {error} is missing"
        if found:
            return found
        now = time.monotonic()
        assert now < until, f"not within {seconds} s{missing}"
        time.sleep(min(0.3, max(0.02, (now - begun) / 10)))
