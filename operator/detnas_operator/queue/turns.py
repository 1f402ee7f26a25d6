"""Which of the due keys is next: their groups take turns, and slow ones leave room."""

import heapq
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


@dataclass(slots=True)
class _Group(Generic[Key]):
    """The keys of one group that are due.

    Attributes:
        known: keys of the group, due or not.
        running: passes under way.
        turn: when one of its keys was last taken, in turns.
        slow: whether its last pass took long: then keys without a pass so far count as slow.
        lanes: heaps of (rank, ticket, key): the quick ones, and the slow ones.
    """

    turn: int
    known: int = 0
    running: int = 0
    slow: bool = False
    lanes: tuple[list[tuple[float, int, Key]], list[tuple[float, int, Key]]] = field(
        default_factory=lambda: ([], [])
    )


class Turns(Generic[Key]):
    """Keys that are due, in groups.

    A key whose rank has come is taken before all whose rank has not. Among those the group with
    the fewest running passes is next, then the one that was served longest ago; within a group
    the lowest rank decides.

    Args:
        max_slow: how many slow keys may run concurrently.
        max_of_group: how many keys of one group may run concurrently.
    """

    def __init__(self, max_slow: float, max_of_group: float) -> None:
        self._max_slow = max_slow
        self._max_of_group = max_of_group
        self._groups: dict[Hashable, _Group[Key]] = {}
        self._tickets: dict[Key, int] = {}
        self._last_ticket = 0
        self._turn = 0
        self._slow_running = 0

    def enter(self, group: Hashable) -> bool:
        """Add a key to a group; return whether it counts as slow at first."""
        # A new group comes last: otherwise leaving and entering again would overtake others.
        state = self._groups.setdefault(group, _Group(self._turn))
        state.known += 1
        return state.slow

    def leave(self, group: Hashable) -> None:
        """Remove a key, which is neither due nor running, from its group."""
        self._groups[group].known -= 1
        if not self._groups[group].known:
            del self._groups[group]

    def put(self, key: Key, group: Hashable, rank: float, *, slow: bool) -> None:
        """Let a key wait for its turn; one that waits already takes this rank."""
        self._last_ticket += 1
        self._tickets[key] = self._last_ticket
        heapq.heappush(self._groups[group].lanes[slow], (rank, self._last_ticket, key))

    def first(self, now: float = float("inf")) -> tuple[Key, Hashable] | None:
        """Return the key that is next, and its group; None if none that waits may run."""
        best, first = None, None
        for name, group in self._groups.items():
            if (head := self._head(group)) is None:
                continue
            rank, ticket, key = head
            order = (rank > now, group.running, group.turn, rank, ticket)
            if best is None or order < best:
                best, first = order, (key, name)
        return first

    def start(self, key: Key, group: Hashable, *, slow: bool) -> None:
        """Record that a pass over a waiting key begins."""
        del self._tickets[key]
        self._turn += 1
        state = self._groups[group]
        state.running += 1
        state.turn = self._turn
        self._slow_running += slow

    def end(self, group: Hashable, *, was_slow: bool, slow: bool) -> None:
        """Record that a pass ended, whether its key counted as slow, and whether it took long."""
        state = self._groups[group]
        state.running -= 1
        state.slow = slow
        self._slow_running -= was_slow

    def _head(self, group: _Group[Key]) -> tuple[float, int, Key] | None:
        """Return the item of a group that is next, if one may run."""
        heads = []
        for slow, lane in enumerate(group.lanes):
            while lane and self._tickets.get(lane[0][2]) != lane[0][1]:
                heapq.heappop(lane)
            if lane and (not slow or self._slow_running < self._max_slow):
                heads.append(lane[0])
        return min(heads, default=None) if group.running < self._max_of_group else None
