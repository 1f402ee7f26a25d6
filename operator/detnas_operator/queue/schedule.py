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
        slow: its last pass took long.
    """

    due: float = _NEVER
    ticket: int = 0
    running: bool = False
    failures: int = 0
    not_before: float = 0.0
    slow: bool = False


class Schedule(Generic[Key]):
    """Keys and when they are due; served in that order, each by at most one pass at a time.

    Every time is in seconds on the caller's clock. Of the keys whose last pass took long, only so
    many run at a time, so that those whose store hangs leave room for the others.

    Args:
        resync: seconds after which a key is due without being asked for.
        draws: of the jitter.
        most_slow: how many slow keys may run at a time.
    """

    def __init__(
        self, resync: float, draws: random.Random, most_slow: float = float("inf")
    ) -> None:
        self._resync = resync
        self._draws = draws
        self._most_slow = most_slow
        self._slow_running = 0
        self._entries: dict[Key, _Entry] = {}
        self._quick: list[tuple[float, int, Key]] = []
        self._slow: list[tuple[float, int, Key]] = []
        self._tickets = 0

    def add(self, key: Key, due: float) -> None:
        """Ask for a pass over ``key`` at ``due`` or sooner."""
        entry = self._entries.setdefault(key, _Entry())
        self._advance(key, entry, max(due, entry.not_before))

    def take(self, now: float) -> Key | None:
        """Return the key that has been due for longest, now running; None where none is due."""
        if self.next_due() > now:
            return None
        _, _, key = heapq.heappop(min(self._open_heaps(), key=lambda heap: heap[0][:2]))
        entry = self._entries[key]
        entry.due, entry.running = _NEVER, True
        self._slow_running += entry.slow
        return key

    def next_due(self) -> float:
        """Return when the next key that may run is due; infinity where none waits."""
        return min((heap[0][0] for heap in self._open_heaps()), default=_NEVER)

    def succeeded(self, key: Key, now: float, again: Again, *, slow: bool = False) -> None:
        """Take in that the key's pass ended well, and whether it took long."""
        self._slow_running -= self._entries[key].slow
        asked = self._entries[key].due
        if again.gone and asked == _NEVER:
            del self._entries[key]
            return
        # A fresh entry: back-off and its limits end with a success.
        entry = self._entries[key] = _Entry(slow=slow)
        resync = now + self._resync * self._jitter()
        wanted = now + again.after if again.after is not None else _NEVER
        self._advance(key, entry, min(asked, resync, wanted))

    def failed(
        self, key: Key, now: float, retry_after: float | None, *, slow: bool = False
    ) -> float:
        """Take in that the key's pass failed; return the seconds until the next one."""
        entry = self._entries[key]
        self._slow_running -= entry.slow
        entry.slow = slow
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
            heap = self._slow if entry.slow else self._quick
            heapq.heappush(heap, (due, entry.ticket, key))

    def _open_heaps(self) -> list[list[tuple[float, int, Key]]]:
        """Return the heaps that have a key which may run, their first items being valid."""
        found = []
        for heap in (self._quick, self._slow):
            while heap and not self._stands(*heap[0]):
                heapq.heappop(heap)
            if heap and (heap is self._quick or self._slow_running < self._most_slow):
                found.append(heap)
        return found

    def _stands(self, due: float, ticket: int, key: Key) -> bool:
        entry = self._entries.get(key)
        return (
            entry is not None and not entry.running and (entry.due, entry.ticket) == (due, ticket)
        )

    def _jitter(self) -> float:
        return self._draws.uniform(1.0 - _JITTER, 1.0 + _JITTER)
