"""Deletes weights that no later step can ask for."""

from collections.abc import Iterable

from detnas.ledger.entry import LedgerEntry
from detnas.ledger.history import History, read_trial
from detnas.ledger.summary import Summary, needed
from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.score import BaseFacts
from detnas.spec.search import Retention
from detnas.store import Store


class WeightCollector:
    """Knows which trials' weights are still there.

    After a restart it knows those that are needed and those of no segment yet, and reads a trial
    once it is no longer needed; weights that were about to be deleted when a process died, of
    trials long past, stay in the store. So do those that were kept before the manifest said
    ``Needed``: to ask for each of thousands of trials, in every start, would keep a search from
    going on.

    Args:
        store: where the search lies.
        search: key of its folder.
        retention: what the manifest says.
    """

    def __init__(self, store: Store, search: str, retention: Retention) -> None:
        self._store = store
        self._search = search
        self._retention = retention
        self._kept: dict[int, Artifact] = {}
        self._seen: frozenset[int] = frozenset()
        self._unread: set[int] = set()
        self._summary: Summary | None = None

    def collect(self, history: History, facts: BaseFacts) -> tuple[Artifact, ...]:
        """Delete what may go, and return it."""
        if self._retention.weights == "All":
            return ()
        unsegmented, stays = history.unsegmented, needed(history.summary, history.in_flight)
        is_first = self._summary is None
        self._unread |= stays - unsegmented.keys() if is_first else self._packed(history)
        self._summary = history.summary
        self._keep(unsegmented[index] for index in unsegmented.keys() - self._seen)
        self._seen = frozenset(unsegmented)
        self._keep(self._read(self._unread - stays, facts))
        gone = sorted(self._kept.keys() - stays)
        for index in gone:
            self._delete(index, self._kept[index])
        return tuple(self._kept.pop(index) for index in gone)

    def _packed(self, history: History) -> set[int]:
        """Trials that ended since the last time, and went into a segment before we saw them."""
        assert self._summary is not None
        now, before = history.summary, self._summary
        new = (*before.missing, *range(before.next_index, now.next_index))
        return {index for index in new if now.knows(index) and index not in history.unsegmented}

    def _keep(self, entries: Iterable[LedgerEntry]) -> None:
        self._kept |= {entry.index: entry.weights for entry in entries if entry.weights}

    def _delete(self, index: int, weights: Artifact) -> None:
        """Delete a trial's weights, and only those: a result may name any object of the store."""
        own = keys.trial_folder(self._search, index)
        copied = keys.inherited_folder(self._search)
        # An earlier process may have deleted them: a process that begins with writes which change
        # nothing never comes further if it dies early every time.
        key = weights.key
        if key.startswith((f"{own}/", f"{copied}/")) and self._store.size(key) is not None:
            self._store.delete(key)

    def _read(self, indices: set[int], facts: BaseFacts) -> list[LedgerEntry]:
        """Read trials that are not needed any more."""
        found = [read_trial(self._store, self._search, facts, index) for index in sorted(indices)]
        self._unread -= indices
        return [entry for entry in found if isinstance(entry, LedgerEntry)]
