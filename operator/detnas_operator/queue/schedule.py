"""Which key is due when: the work queue's decisions, without threads, clocks or event loops."""

import heapq
import random
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic

from detnas_operator.queue.turns import Key, Turns

FIRST_BACKOFF_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 60.0
MAX_OVERTAKEN_SECONDS = 30.0
"""For which what is urgent comes before resyncs and other requeues; then those wait no longer."""
_JITTER = 0.2
_SPREAD = 0.4
"""A requeue is up to this share later: keys that were all served in one second would otherwise be
due together forever."""
_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Requeue:
    """When a key is due again after a pass.

    Attributes:
        after: in seconds, or a little later; None: at the next event or resync.
        gone: the key no longer exists: no resync; an event brings it back.
        urgent: it then comes before keys that are not.
    """

    after: float | None = None
    gone: bool = False
    urgent: bool = False


@dataclass(slots=True)
class _Entry:
    """What is known of a key.

    Attributes:
        group: with which it shares turns.
        slow: its last pass took long.
        due: when its next pass is due; while it runs, as requested meanwhile.
        rank: from when on no later event overtakes it: only the groups' turns decide.
        ticket: of the one heap item that is valid for ``due``.
        not_before: no event makes it due sooner.
    """

    group: Hashable
    slow: bool = False
    due: float = _NEVER
    rank: float = _NEVER
    ticket: int = 0
    running: bool = False
    failures: int = 0
    not_before: float = 0.0


class Schedule(Generic[Key]):
    """Keys and when they are due, each served by at most one pass at a time.

    Every time is in seconds on the caller's clock. Urgent keys come before others, until those have
    waited for ``MAX_OVERTAKEN_SECONDS``. Groups of keys take turns, so that one with many keys
    delays no other. The number of concurrent passes over slow keys is limited, so that those
    whose store hangs leave room for the others.

    Args:
        resync: seconds after which a key is due without any request.
        draws: random numbers for the jitter.
        max_slow: how many slow keys may run concurrently.
        group: of a key; by default each is a group of its own.
        max_of_group: how many keys of a group may run concurrently.
    """

    def __init__(
        self,
        resync: float,
        draws: random.Random,
        max_slow: float = _NEVER,
        group: Callable[[Key], Hashable] = lambda key: key,
        max_of_group: float = _NEVER,
    ) -> None:
        self._resync = resync
        self._draws = draws
        self._group = group
        self._entries: dict[Key, _Entry] = {}
        self._later: list[tuple[float, int, Key]] = []
        self._turns: Turns[Key] = Turns(max_slow, max_of_group)
        self._last_ticket = 0

    def add(self, key: Key, due: float, *, urgent: bool = True) -> None:
        """Request a pass over ``key`` at ``due`` or sooner, before others if it is urgent."""
        entry = self._entries.get(key)
        if entry is None:
            group = self._group(key)
            entry = self._entries[key] = _Entry(group, slow=self._turns.enter(group))
        due = max(due, entry.not_before)
        self._advance(key, entry, due, _rank(due, urgent=urgent))

    def take(self, now: float) -> Key | None:
        """Return the due key whose turn it is, now running; None if none may run."""
        self._advance_due(now)
        first = self._turns.first(now)
        if first is None:
            return None
        key, group = first
        entry = self._entries[key]
        entry.due, entry.rank, entry.running = _NEVER, _NEVER, True
        self._turns.start(key, group, slow=entry.slow)
        return key

    def next_due(self) -> float:
        """Return when the next key that may run is due; infinity if none waits."""
        first = self._turns.first()
        waiting = self._entries[first[0]].due if first else _NEVER
        while self._later and not self._is_valid(*self._later[0][1:]):
            heapq.heappop(self._later)
        return min(waiting, self._later[0][0] if self._later else _NEVER)

    def succeeded(self, key: Key, now: float, requeue: Requeue, *, slow: bool = False) -> None:
        """Record that the key's pass succeeded, and whether it took long."""
        before = self._entries[key]
        self._turns.end(before.group, was_slow=before.slow, slow=slow)
        if requeue.gone and before.due == _NEVER:
            del self._entries[key]
            self._turns.leave(before.group)
            return
        # A new entry: the backoff and its limits end with a success.
        entry = self._entries[key] = _Entry(before.group, slow=slow)
        self._advance(key, entry, before.due, before.rank)
        resync = now + self._resync * self._jitter()
        self._advance(key, entry, resync, _rank(resync, urgent=False))
        if requeue.after is not None:
            due_again = now + requeue.after * self._draws.uniform(1.0, 1.0 + _SPREAD)
            self._advance(key, entry, due_again, _rank(due_again, urgent=requeue.urgent))

    def failed(
        self, key: Key, now: float, retry_after: float | None, *, slow: bool = False
    ) -> float:
        """Record that the key's pass failed; return the seconds until the next one."""
        entry = self._entries[key]
        self._turns.end(entry.group, was_slow=entry.slow, slow=slow)
        entry.slow = slow
        requested, rank = entry.due, entry.rank
        delay = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(entry.failures, 30))
        entry.failures += 1
        entry.running, entry.due, entry.rank = False, _NEVER, _NEVER
        # An event may end a backoff early, but no stream of events may turn it into a hot loop.
        entry.not_before = now + max(retry_after or 0.0, FIRST_BACKOFF_SECONDS)
        due = max(min(requested, now + delay * self._jitter()), entry.not_before)
        self._advance(key, entry, due, max(due, min(rank, _rank(due, urgent=False))))
        return due - now

    def waiting(self, now: float) -> list[float]:
        """Return, for every key that is due and not running, for how many seconds it has been."""
        return [now - e.due for e in self._entries.values() if not e.running and e.due <= now]

    def __len__(self) -> int:
        """Return how many keys are known."""
        return len(self._entries)

    def _advance(self, key: Key, entry: _Entry, due: float, rank: float) -> None:
        if due >= entry.due and rank >= entry.rank:
            return
        entry.due, entry.rank = min(due, entry.due), min(rank, entry.rank)
        if not entry.running:
            self._last_ticket += 1
            entry.ticket = self._last_ticket
            heapq.heappush(self._later, (entry.due, entry.ticket, key))

    def _advance_due(self, now: float) -> None:
        """Let the keys that have become due wait for their turns."""
        while self._later and self._later[0][0] <= now:
            _, ticket, key = heapq.heappop(self._later)
            if self._is_valid(ticket, key):
                entry = self._entries[key]
                self._turns.put(key, entry.group, entry.rank, slow=entry.slow)

    def _is_valid(self, ticket: int, key: Key) -> bool:
        entry = self._entries.get(key)
        return entry is not None and not entry.running and entry.ticket == ticket

    def _jitter(self) -> float:
        return self._draws.uniform(1.0 - _JITTER, 1.0 + _JITTER)


def _rank(due: float, *, urgent: bool) -> float:
    """Return from when on nothing overtakes a key that is due then."""
    return due if urgent else due + MAX_OVERTAKEN_SECONDS
