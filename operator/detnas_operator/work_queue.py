"""Passes over keys: one at a time for a key, several keys in parallel, never forgetting one."""

import asyncio
import random
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Again:
    """When a pass wants its key to be looked at again.

    Attributes:
        after: in seconds; None: at the next event or resync.
        gone: the key is of no interest any more: no resync; an event brings it back.
    """

    after: float | None = None
    gone: bool = False


class WorkQueue(Generic[Key]):
    """Runs ``work(key)`` for every key enqueued, on threads of its own.

    At most one pass a key at a time; an event during a pass makes another pass after it. A pass
    that raises is repeated after 1 s, doubling to 60 s, with jitter, and not before the error's
    ``retry_after`` (seconds) where it has one; an event comes sooner than a back-off, never sooner
    than ``retry_after``. Success resets the back-off. Keys are served in the order they are due.
    """

    def __init__(
        self,
        work: Callable[[Key], Again],
        *,
        workers: int,
        resync: float,
        clock: Callable[[], float] = time.monotonic,
        draws: random.Random | None = None,
    ) -> None: ...

    def enqueue(self, key: Key, after: float = 0.0) -> None:
        """Ask for a pass over ``key`` in ``after`` seconds, or sooner; from any thread."""

    async def run(self) -> None:
        """Serve until ``stop``; must run on one event loop, which it never blocks."""

    async def stop(self, grace: float) -> bool:
        """Take no more keys and wait up to ``grace`` seconds; return whether all passes ended."""
