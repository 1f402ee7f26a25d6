"""The time a pass may take: nobody's search may hold a worker for as long as it likes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

LONGEST_PASS = 120.0
"""Seconds after which a pass asks nothing more of a store; long before a process counts as stuck
(`health.OLDEST_PASS`)."""

_until: ContextVar[float] = ContextVar("until", default=float("inf"))


@contextmanager
def at_most(seconds: float, clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Give what is done in the block, on this thread, so much time."""
    token = _until.set(clock() + seconds)
    try:
        yield
    finally:
        _until.reset(token)


def seconds_left(clock: Callable[[], float] = time.monotonic) -> float:
    """Return how much of it is left: infinite outside of any pass, negative when it is over."""
    return _until.get() - clock()
