"""A search's trials in the store: read at a start, packed into segments as they end.

A trial is in flight once its request is written, and finished once its result is. Nothing else is
state: a process may die between any two writes, and the next one reads where it was.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from detnas.ledger.entry import LedgerEntry
from detnas.ledger.inherited import load_inherited
from detnas.ledger.loose import LooseEntries
from detnas.ledger.segments import SEGMENT, Segment, pack, segment_indices
from detnas.ledger.snapshot import Snapshot, load_snapshot, write_snapshot
from detnas.ledger.summary import Summary, fold
from detnas.ledger.trials import TrialRecords, Verify, believed, load_trial
from detnas.records import keys
from detnas.records.proposal import Proposal
from detnas.score import BaseFacts
from detnas.store import Store
from detnas.store.artifacts import create_record, load_record
from detnas.store.errors import CorruptRecord
from detnas.store.in_parallel import AT_A_TIME, in_parallel

R = TypeVar("R")

FOLDED_EVERY = 5
"""Trials that end between two writes of the summary: a restart reads as many one by one."""

_FEW = FOLDED_EVERY + 1

FOLDED_SHARE = 200
"""One of so many trials is as much: what is written grows with them, and so does the pause."""


@dataclass(frozen=True, slots=True)
class History:
    """Where a search stands.

    Attributes:
        summary: finished trials, folded.
        in_flight: trials that are decided and have no result, in order.
        loose: finished trials that are in no segment yet, by number.
        segments: how many segments are written, up to the first that is not.
        later: numbers of the segments that are written beyond.
        folded: how many finished trials the stored summary holds.
    """

    summary: Summary
    in_flight: tuple[Proposal, ...] = ()
    loose: LooseEntries = field(default_factory=LooseEntries)
    segments: int = 0
    later: frozenset[int] = frozenset()
    folded: int = 0

    def started(self, proposal: Proposal) -> "History":
        """After a trial's request was written."""
        return replace(self, in_flight=(*self.in_flight, proposal))

    def finished(self, entry: LedgerEntry) -> "History":
        """After a trial's result was read."""
        return replace(
            self,
            summary=fold(self.summary, [entry]),
            in_flight=tuple(p for p in self.in_flight if p.index != entry.index),
            loose=self.loose.with_entry(entry),
        )

    def packed(self, segment: Segment) -> "History":
        """After a segment was written, or read."""
        segments, later = self.segments, self.later | {segment.number}
        while segments in later:
            segments += 1
        return replace(
            self,
            summary=fold(self.summary, segment.entries),
            loose=self.loose.without(segment_indices(segment.number)),
            segments=segments,
            later=frozenset(number for number in later if number > segments),
        )


@dataclass(slots=True)
class Loading:
    """How far the ledger is read: who may not read all of a long one at once goes on there.

    Attributes:
        history: what the segments say that are read.
    """

    history: History | None = None


def load_history(
    store: Store,
    folder: str,
    base: BaseFacts,
    top_k: int,
    verify: Verify = lambda _folder, _result: True,
    loading: Loading | None = None,
) -> History:
    """Read where a search stands: what is stored folded, then segments and trials after that.

    Args:
        store: where the search lies.
        folder: key of the search's folder.
        base: the detector the search set out from.
        top_k: candidates that are kept.
        verify: asked, by folder, whether the result of a trial that is read one by one is to be
            believed: nobody may have looked at it yet. One that is not counts as not there.
        loading: of an earlier call that was cut, and of this one.

    Raises:
        CorruptRecord: a record is not what it should be.
    """
    loading = loading or Loading()
    history = loading.history or load_snapshot_history(store, folder, top_k)
    own: list[TrialRecords] = []
    for found in _read_from(store, folder, history):
        if isinstance(found, Segment):
            loading.history = history = history.packed(found)
        elif isinstance(found, LedgerEntry):
            history = history.finished(found)
        else:
            own.append(found)
    ended = believed(own, folder, base, history.summary, verify)
    for trial in own:
        entry = ended.get(trial.index)
        history = history.finished(entry) if entry else history.started(trial.proposal)
    loading.history = None
    return history


def write_segments(store: Store, folder: str, history: History) -> History:
    """Write every segment that is complete; the history then has fewer loose entries.

    Now and then the finished trials are written folded, too.
    """
    for number in sorted({index // SEGMENT for index in history.loose}):
        segment = pack(number, history.loose)
        if segment is not None:  # one trial that does not end keeps back its own hundred only
            create_record(store, keys.ledger_segment(folder, number), segment)
            history = history.packed(segment)
    known = history.summary.known
    if known >= history.folded + max(FOLDED_EVERY, known // FOLDED_SHARE):
        folded = Snapshot(history.summary, history.segments, history.later, history.loose)
        write_snapshot(store, folder, folded)
        history = replace(history, folded=known)
    return history


def read_entries(store: Store, folder: str, base: BaseFacts) -> Iterator[LedgerEntry]:
    """Yield every finished trial, in the order of their numbers.

    Raises:
        CorruptRecord: a record is not what it should be.
    """
    for found in _read_from(store, folder, History(Summary(1))):
        if isinstance(found, Segment):
            yield from found.entries
        elif isinstance(found, LedgerEntry):
            yield found
        elif (entry := found.entry(base)) is not None:
            yield entry


def read_trial(
    store: Store, folder: str, base: BaseFacts, index: int
) -> Proposal | LedgerEntry | None:
    """One trial: what came of it, its proposal while it is in flight, or None before that.

    Raises:
        CorruptRecord: a record is not what it should be.
    """
    trial = load_trial(store, folder, index)
    return None if trial is None else trial.entry(base) or trial.proposal


def load_snapshot_history(store: Store, folder: str, top_k: int) -> History:
    """Read what is stored folded: the beginning of where a search stands."""
    found = load_snapshot(store, folder, top_k)
    return History(
        summary=found.summary,
        loose=found.loose,
        segments=found.segments,
        later=found.later,
        folded=found.summary.known,
    )


def _read_from(
    store: Store, folder: str, history: History
) -> Iterator[Segment | LedgerEntry | TrialRecords]:
    """What a history lacks: by the hundred a segment, else trials taken over, and own ones.

    Requests are written in order, so the first gap is the end.
    """
    inherited = load_inherited(store, folder)
    taken = inherited.trials if inherited else 0
    tail = {entry.index: entry for entry in inherited.tail} if inherited else {}

    def read(index: int) -> LedgerEntry | TrialRecords | None:
        found = tail.get(index) if index < taken else load_trial(store, folder, index)
        if found is None and index < taken:
            raise CorruptRecord(
                f"the trials that {store.uri}/{folder} took over do not go on from its segments",
                "restore the objects: records are never edited",
            )
        return found

    number, one_by_one = history.segments, 0
    while True:
        segment = None if number in history.later else _segment(store, folder, number)
        if segment is not None:
            yield segment
        else:
            unknown = [i for i in segment_indices(number) if not history.summary.knows(i)]
            for found in _read_ahead(read, unknown, one_by_one):
                if found is None:
                    return
                yield found
            one_by_one += len(unknown)
        number += 1


def _read_ahead(read: Callable[[int], R], indices: Sequence[int], before: int) -> Iterator[R]:
    """Yield what is read of trials: the first few one by one, then ever more at a time.

    After a restart there are mostly few, and what was read beyond the last is read in vain; but of
    a search of a thousand trials at a time there may be as many.

    Args:
        read: reads one.
        indices: of those to read.
        before: how many were read before them.
    """
    begin = 0
    while begin < len(indices):
        read_before = before + begin
        size = 1 if read_before < _FEW else min(read_before, AT_A_TIME)
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
