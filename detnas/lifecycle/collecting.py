"""Deletes weights that no later step can ask for."""

from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.search.base import BaseFacts
from detnas.search.history import History, read_trial
from detnas.search.ledger import LedgerEntry
from detnas.search.retention import collectable, needed
from detnas.spec.search import Retention
from detnas.store import Store


class WeightCollector:
    """Knows which trials' weights are still there.

    After a restart it knows those that are needed and those of no segment yet, and reads a trial
    once it is no longer needed; weights that were about to be deleted when a process died, of
    trials long past, stay in the store.

    Args:
        store: where the search lies.
        search: key of its folder.
        retention: what the manifest says.
    """

    def __init__(self, store: Store, search: str, retention: Retention) -> None:
        self._store = store
        self._search = search
        self._retention = retention
        self._kept: dict[int, LedgerEntry] = {}
        self._unread: set[int] | None = None
        self._collected: set[int] = set()

    def collect(self, history: History, facts: BaseFacts) -> tuple[Artifact, ...]:
        """Delete what may go, and return it."""
        stays = needed(history.summary, history.in_flight)
        if self._unread is None:
            self._unread = set(stays - set(history.loose))
        self._kept |= {i: e for i, e in history.loose.items() if i not in self._collected}
        self._kept |= self._read(self._unread - stays, facts)
        entries = collectable(
            self._kept.values(), history.summary, history.in_flight, self._retention.weights
        )
        gone = []
        for entry in entries:
            assert entry.weights is not None
            self._delete(entry)
            self._collected.add(entry.index)
            del self._kept[entry.index]
            gone.append(entry.weights)
        return tuple(gone)

    def _delete(self, entry: LedgerEntry) -> None:
        """Delete a trial's weights, and only those: a result may name any object of the store."""
        assert entry.weights is not None
        own = keys.trial_folder(self._search, entry.index)
        copied = keys.inherited_folder(self._search)
        key = entry.weights.key
        # An earlier process may have deleted them: a process that begins with writes which change
        # nothing never comes further if it dies early every time.
        if key.startswith((f"{own}/", f"{copied}/")) and self._store.size(key) is not None:
            self._store.delete(key)

    def _read(self, indices: set[int], facts: BaseFacts) -> dict[int, LedgerEntry]:
        """Read trials that were needed when this process began, and are not any more."""
        assert self._unread is not None
        self._unread -= indices
        found = {i: read_trial(self._store, self._search, facts, i) for i in indices}
        return {i: entry for i, entry in found.items() if isinstance(entry, LedgerEntry)}
