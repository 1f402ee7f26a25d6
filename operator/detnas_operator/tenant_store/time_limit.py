"""The time a pass may take: no search may occupy a worker for any longer."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

MAX_PASS_SECONDS = 120.0
"""Seconds after which a pass makes no more requests to a store; long before a process counts as
stuck (`health.MAX_STUCK_SECONDS`)."""

_until: ContextVar[float] = ContextVar("until", default=float("inf"))


@contextmanager
def at_most(seconds: float, clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Limit the time of what is done in the block, on this thread."""
    token = _until.set(clock() + seconds)
    try:
        yield
    finally:
        _until.reset(token)


def seconds_left(clock: Callable[[], float] = time.monotonic) -> float:
    """Return the seconds left: infinite outside of a pass, negative when they are used up."""
    return _until.get() - clock()
