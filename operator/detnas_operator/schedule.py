"""Which key is due when: the work queue's decisions, without threads, clocks or event loops."""

import heapq
import random
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 60.0
_JITTER = 0.2
_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Again:
    """When a pass wants its key to be looked at again.

    Attributes:
        after: in seconds; None: at the next event or resync.
        gone: the key is of no interest any more: no resync; an event brings it back.
    """

    after: float | None = None
    gone: bool = False


@dataclass(slots=True)
class _Entry:
    """What is known of a key.

    Attributes:
        due: when it is to be looked at next; while it runs: what was asked for meanwhile.
        ticket: names the one heap item that stands for ``due``.
        not_before: what no event can hurry.
    """

    due: float = _NEVER
    ticket: int = 0
    running: bool = False
    failures: int = 0
    not_before: float = 0.0


class Schedule(Generic[Key]):
    """Keys and when they are due; served in that order, each by at most one pass at a time.

    Every time is in seconds on the caller's clock.
    """

    def __init__(self, resync: float, draws: random.Random) -> None:
        self._resync = resync
        self._draws = draws
        self._entries: dict[Key, _Entry] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._tickets = 0

    def add(self, key: Key, due: float) -> None:
        """Ask for a pass over ``key`` at ``due`` or sooner."""
        entry = self._entries.setdefault(key, _Entry())
        self._advance(key, entry, max(due, entry.not_before))

    def take(self, now: float) -> Key | None:
        """Return the key that has been due for longest, now running; None where none is due."""
        if self.next_due() > now:
            return None
        _, _, key = heapq.heappop(self._heap)
        entry = self._entries[key]
        entry.due, entry.running = _NEVER, True
        return key

    def next_due(self) -> float:
        """Return when the next key is due; infinity where none waits."""
        while self._heap and not self._stands(*self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else _NEVER

    def succeeded(self, key: Key, now: float, again: Again) -> None:
        """Take in that the key's pass ended well."""
        asked = self._entries[key].due
        if again.gone and asked == _NEVER:
            del self._entries[key]
            return
        # A fresh entry: back-off and its limits end with a success.
        entry = self._entries[key] = _Entry()
        resync = now + self._resync * self._jitter()
        wanted = now + again.after if again.after is not None else _NEVER
        self._advance(key, entry, min(asked, resync, wanted))

    def failed(self, key: Key, now: float, retry_after: float | None) -> float:
        """Take in that the key's pass failed; return the seconds until the next one."""
        entry = self._entries[key]
        asked = entry.due
        delay = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(entry.failures, 30))
        entry.failures += 1
        entry.running, entry.due = False, _NEVER
        # An event may end a back-off early, but no stream of events may turn it into a hot loop.
        entry.not_before = now + max(retry_after or 0.0, FIRST_BACKOFF)
        due = max(min(asked, now + delay * self._jitter()), entry.not_before)
        self._advance(key, entry, due)
        return due - now

    def waiting(self, now: float) -> list[float]:
        """Return, for every key that is due and not running, for how many seconds it has been."""
        return [now - e.due for e in self._entries.values() if not e.running and e.due <= now]

    def __len__(self) -> int:
        """Return how many keys are known."""
        return len(self._entries)

    def _advance(self, key: Key, entry: _Entry, due: float) -> None:
        if due >= entry.due:
            return
        entry.due = due
        if not entry.running:
            self._tickets += 1
            entry.ticket = self._tickets
            heapq.heappush(self._heap, (due, entry.ticket, key))

    def _stands(self, due: float, ticket: int, key: Key) -> bool:
        entry = self._entries.get(key)
        return (
            entry is not None and not entry.running and (entry.due, entry.ticket) == (due, ticket)
        )

    def _jitter(self) -> float:
        return self._draws.uniform(1.0 - _JITTER, 1.0 + _JITTER)
