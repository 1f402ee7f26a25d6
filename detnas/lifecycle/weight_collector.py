"""Deletes weights that no later step can need."""

from collections.abc import Iterable

from detnas.ledger.entry import LedgerEntry
from detnas.ledger.history import History, read_trial
from detnas.ledger.summary import needed
from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.score import Scorer
from detnas.spec.search import Retention
from detnas.store import Store


class WeightCollector:
    """Tracks which trials' weights are stored.

    After a restart it knows needed trials, those needed when the snapshot was written and those
    newer than it, and reads a trial once it is no longer needed. Weights of earlier trials that
    were retained before the manifest set ``Needed`` stay in the store: a request for each of
    thousands of trials at every start would delay the search.

    Args:
        store: where the search is stored.
        search: key of its folder.
        retention: from the manifest.
    """

    def __init__(self, store: Store, search: str, retention: Retention) -> None:
        self._store = store
        self._search = search
        self._retention = retention
        self._stored: dict[int, Artifact] = {}
        self._seen: frozenset[int] | None = None
        self._unread: set[int] = set()

    def collect(self, history: History, scorer: Scorer) -> None:
        """Delete the weights that are no longer needed; before new trials become a segment."""
        if self._retention.weights == "All" or scorer.supernet is not None:  # subnets have none
            return
        unsegmented, stays = history.unsegmented, needed(history.summary, history.in_flight)
        if self._seen is None:
            self._seen = history.settled
            self._unread |= (stays | history.retained) - (unsegmented.keys() - self._seen)
        new = [unsegmented[index] for index in unsegmented.keys() - self._seen]
        self._track(new)
        # A parent of theirs may have been retained for them alone when the last process ended.
        parents = {parent for entry in new if (parent := entry.proposal.parent) is not None}
        self._unread |= parents - self._stored.keys()
        self._seen = frozenset(unsegmented)
        self._track(self._read(self._unread - stays, scorer))
        unneeded = sorted(self._stored.keys() - stays)
        for index in unneeded:
            self._delete(index, self._stored[index])
        for index in unneeded:
            del self._stored[index]

    def _track(self, entries: Iterable[LedgerEntry]) -> None:
        self._stored |= {entry.index: entry.weights for entry in entries if entry.weights}

    def _delete(self, index: int, weights: Artifact) -> None:
        """Delete a trial's weights, and no other object that its result may name."""
        own = keys.trial_folder(self._search, index)
        copied = keys.inherited_folder(self._search)
        # An earlier process may have deleted them: one that dies soon after every start must not
        # spend its time on writes without effect.
        key = weights.key
        if key.startswith((f"{own}/", f"{copied}/")) and self._store.size(key) is not None:
            self._store.delete(key)

    def _read(self, indices: set[int], scorer: Scorer) -> list[LedgerEntry]:
        """Read trials that are no longer needed."""
        found = [read_trial(self._store, self._search, scorer, index) for index in sorted(indices)]
        self._unread -= indices
        return [entry for entry in found if isinstance(entry, LedgerEntry)]
