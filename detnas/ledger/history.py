"""A search's trials in the store: read after a start, packed into segments as they finish.

A trial is in flight once its request is written, and finished once its result is. Nothing else is
state: a process may die between any two writes, and the next one continues from there.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import TypeVar

from detnas.ledger.entry import LedgerEntry
from detnas.ledger.segments import Segment, UnsegmentedEntries, pack, segment_indices, segment_of
from detnas.ledger.snapshot import load_snapshot, write_snapshot
from detnas.ledger.subnets import SubnetTrials
from detnas.ledger.summary import Summary, fold, needed
from detnas.ledger.trials import (
    TrialRecords,
    Verify,
    load_inherited,
    load_trial,
    verified_entries,
)
from detnas.records import keys
from detnas.records.proposal import Proposal
from detnas.score import Scorer
from detnas.store import Store
from detnas.store.artifacts import create_record, load_record
from detnas.store.errors import CorruptRecord
from detnas.store.in_parallel import CONCURRENT_REQUESTS, in_parallel

R = TypeVar("R")

SNAPSHOT_EVERY = 5
"""Trials that finish between two snapshots: at most as many are read one by one at a restart."""

_FEW = SNAPSHOT_EVERY + 1


@dataclass(frozen=True, slots=True)
class History:
    """A search's trials.

    Attributes:
        summary: finished trials, folded.
        in_flight: trials that are decided and have no result, in order.
        unsegmented: finished trials that are in no segment yet, by number.
        segments: numbers of the segments that are written.
        in_snapshot: how many finished trials the stored snapshot has.
        settled: trials in no segment that the snapshot had when it was read. Before it was written,
            the weights of all but the retained ones were collected.
        retained: trials that were needed (see `needed`) by the snapshot when it was read.
    """

    summary: Summary
    in_flight: tuple[Proposal, ...] = ()
    unsegmented: UnsegmentedEntries = field(default_factory=UnsegmentedEntries)
    segments: frozenset[int] = frozenset()
    in_snapshot: int = 0
    settled: frozenset[int] = field(default=frozenset(), compare=False)
    retained: frozenset[int] = field(default=frozenset(), compare=False)

    def with_request(self, *trials: Proposal) -> "History":
        """After the request of a trial, or of several in one job, was written."""
        return replace(self, in_flight=(*self.in_flight, *trials))

    def with_entry(self, entry: LedgerEntry) -> "History":
        """After a trial's result was read."""
        return replace(
            self,
            summary=fold(self.summary, [entry]),
            in_flight=tuple(p for p in self.in_flight if p.index != entry.index),
            unsegmented=self.unsegmented.with_entry(entry),
        )

    def with_segment(self, segment: Segment) -> "History":
        """After a segment was written, or read."""
        return replace(
            self,
            summary=fold(self.summary, segment.entries),
            unsegmented=self.unsegmented.without(segment_indices(segment.number)),
            segments=self.segments | {segment.number},
        )


@dataclass(slots=True)
class Loading:
    """How far the ledger is read: a reader that ran out of time continues from there.

    Attributes:
        history: the trials of the segments read so far.
        inherits: the search may have begun with another's trials.
    """

    history: History | None = None
    inherits: bool = True


def load_history(
    store: Store,
    folder: str,
    base: Scorer,
    top_k: int,
    verify: Verify = lambda _folder, _result: True,
    loading: Loading | None = None,
) -> History:
    """Read a search's trials: the snapshot, then the segments and trials that it lacks.

    Args:
        store: where the search is stored.
        folder: key of the search's folder.
        base: the detector that the search starts from.
        top_k: possible parents that are kept.
        verify: called for results that are read one by one: they may be new. One that is not
            verified counts as absent.
        loading: of an earlier call that was interrupted; this one continues and updates it.

    Raises:
        CorruptRecord: a record is not valid.
    """
    loading = loading or Loading()
    history = loading.history or load_snapshot_history(store, folder, top_k)
    own: list[TrialRecords] = []
    load = _loader(store, folder, base)
    for read in _read_from(store, folder, history, load, inherits=loading.inherits):
        if isinstance(read, Segment):
            loading.history = history = history.with_segment(read)
        elif isinstance(read, LedgerEntry):
            history = history.with_entry(read)
        else:
            own.append(read)
    entries = verified_entries(own, folder, base, history.summary, verify)
    for trial in own:
        entry = entries.get(trial.index)
        history = history.with_entry(entry) if entry else history.with_request(trial.proposal)
    loading.history = None
    return history


def load_snapshot_history(store: Store, folder: str, top_k: int) -> History:
    """Read the finished trials that the snapshot has; none if it counts as absent."""
    snapshot = load_snapshot(store, folder, top_k)
    if snapshot is None:
        return History(Summary(top_k=top_k))
    unsegmented = UnsegmentedEntries(snapshot.unsegmented)
    return History(
        summary=snapshot.summary,
        unsegmented=unsegmented,
        segments=snapshot.segments,
        in_snapshot=snapshot.summary.folded_count,
        settled=frozenset(unsegmented),
        retained=needed(snapshot.summary, ()),
    )


def write_segments(store: Store, folder: str, history: History) -> History:
    """Write every complete segment, and the snapshot after every few trials.

    The history that is returned has fewer unsegmented entries.
    """
    for number in sorted({segment_of(index) for index in history.unsegmented}):
        segment = pack(number, history.unsegmented)
        if segment is not None:  # a trial that does not finish delays its own segment only
            create_record(store, keys.ledger_segment(folder, number), segment)
            history = history.with_segment(segment)
    known = history.summary.folded_count
    if known >= history.in_snapshot + SNAPSHOT_EVERY:
        write_snapshot(store, folder, history.summary, history.segments, history.unsegmented)
        history = replace(history, in_snapshot=known)
    return history


def read_entries(store: Store, folder: str, base: Scorer) -> Iterator[LedgerEntry]:
    """Yield every finished trial, in the order of their numbers.

    Raises:
        CorruptRecord: a record is not valid.
    """
    for read in _read_from(store, folder, History(Summary(top_k=1)), _loader(store, folder, base)):
        if isinstance(read, Segment):
            yield from read.entries
        elif isinstance(read, LedgerEntry):
            yield read
        elif (entry := read.entry(base)) is not None:
            yield entry


def read_trial(
    store: Store, folder: str, base: Scorer, index: int
) -> Proposal | LedgerEntry | None:
    """One trial: its entry, its proposal while it is in flight, or None before that.

    Raises:
        CorruptRecord: a record is not valid.
    """
    trial = _loader(store, folder, base)(index)
    return None if trial is None else trial.entry(base) or trial.proposal


def _loader(store: Store, folder: str, base: Scorer) -> Callable[[int], TrialRecords | None]:
    """Return what reads the trial of a number."""
    if base.supernet is not None:
        return SubnetTrials(store, folder, base.supernet).load
    return partial(load_trial, store, folder)


def _read_from(
    store: Store,
    folder: str,
    history: History,
    load: Callable[[int], TrialRecords | None],
    *,
    inherits: bool = True,
) -> Iterator[Segment | LedgerEntry | TrialRecords]:
    """Yield what a history lacks: segments, and the trials that are in no segment yet.

    Inherited trials come first. Requests are written in order, so the first gap is the end.
    """
    inherited = load_inherited(store, folder) if inherits else None
    inherited_trials = inherited.trials if inherited else 0
    tail = {entry.index: entry for entry in inherited.tail} if inherited else {}

    def read(index: int) -> LedgerEntry | TrialRecords | None:
        if index >= inherited_trials:
            return load(index)
        if index not in tail:
            raise CorruptRecord(
                f"the inherited trials of {store.uri}/{folder} do not continue its segments",
                "restore the objects: records are never edited",
            )
        return tail[index]

    one_by_one = 0
    for number in count():
        if number in history.segments:
            continue
        segment = _segment(store, folder, number)
        if segment is not None:
            yield segment
            continue
        unknown = [i for i in segment_indices(number) if not history.summary.knows(i)]
        for found in _read_ahead(read, unknown, one_by_one):
            if found is None:
                return
            yield found
        one_by_one += len(unknown)


def _read_ahead(read: Callable[[int], R], indices: Sequence[int], before: int) -> Iterator[R]:
    """Yield what is read of trials: the first few one by one, then ever more concurrently.

    After a restart there are usually few, and reads beyond the last are wasted; but a search with
    many concurrent trials may have as many.

    Args:
        read: reads one.
        indices: of those to read.
        before: how many were read before them.
    """
    begin = 0
    while begin < len(indices):
        read_before = before + begin
        size = 1 if read_before < _FEW else min(read_before, CONCURRENT_REQUESTS)
        yield from in_parallel(read, indices[begin : begin + size])
        begin += size


def _segment(store: Store, folder: str, number: int) -> Segment | None:
    key = keys.ledger_segment(folder, number)
    segment = load_record(store, key, Segment)
    if segment is not None and segment.number != number:
        raise CorruptRecord(
            f"{store.uri}/{key} is segment {segment.number}",
            "restore the object: records are never edited",
        )
    return segment
