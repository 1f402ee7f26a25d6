"""A search's trials in the store: read at a start, packed into segments as they end.

A trial is in flight once its request is written, and finished once its result is. Nothing else is
state: a process may die between any two writes, and the next one reads where it was.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from detnas.records import keys
from detnas.records.proposal import Proposal
from detnas.search.base import BaseFacts
from detnas.search.folded import Folded, load_folded, write_folded
from detnas.search.inherited import load_inherited
from detnas.search.ledger import LedgerEntry
from detnas.search.loose import LooseEntries
from detnas.search.segments import SEGMENT, Segment, pack, segment_indices
from detnas.search.summary import Summary, fold
from detnas.search.trial_records import TrialRecords, Verify, believed, load_trial
from detnas.store import Store
from detnas.store.artifacts import create_record, load_record
from detnas.store.errors import CorruptRecord

FOLDED_EVERY = 5
"""Trials that end between two writes of the summary: a restart reads as many one by one."""


@dataclass(frozen=True, slots=True)
class History:
    """Where a search stands.

    Attributes:
        summary: finished trials, folded.
        in_flight: trials that are decided and have no result, in order.
        loose: finished trials that are in no segment yet, by number.
        segments: how many segments are written.
        folded: how many finished trials the stored summary holds.
    """

    summary: Summary
    in_flight: tuple[Proposal, ...] = ()
    loose: LooseEntries = field(default_factory=LooseEntries)
    segments: int = 0
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


def load_history(
    store: Store,
    folder: str,
    base: BaseFacts,
    top_k: int,
    verify: Verify = lambda _folder, _result: True,
) -> History:
    """Read where a search stands: what is stored folded, then segments and trials after that.

    Args:
        store: where the search lies.
        folder: key of the search's folder.
        base: the detector the search set out from.
        top_k: candidates that are kept.
        verify: asked, by folder, whether the result of a trial that is read one by one is to be
            believed: nobody may have looked at it yet. One that is not counts as not there.

    Raises:
        CorruptRecord: a record is not what it should be.
    """
    folded = load_folded(store, folder, top_k)
    history = _with_segments(store, folder, folded)
    start = history.segments * SEGMENT
    own: list[TrialRecords] = []
    for found in _trials_from(store, folder, start, history.summary.knows):
        if isinstance(found, LedgerEntry):
            history = history.finished(found)
        else:
            own.append(found)
    ended = believed(own, folder, base, history.summary, verify)
    for trial in own:
        entry = ended.get(trial.index)
        history = history.finished(entry) if entry else history.started(trial.proposal)
    return history


def write_segments(store: Store, folder: str, history: History) -> History:
    """Write every segment that is complete; the history then has fewer loose entries.

    Now and then the finished trials are written folded, too.
    """
    while (segment := pack(history.segments, history.loose)) is not None:
        create_record(store, keys.ledger_segment(folder, segment.number), segment)
        loose = history.loose.without(entry.index for entry in segment.entries)
        history = replace(history, loose=loose, segments=history.segments + 1)
    if history.summary.known >= history.folded + FOLDED_EVERY:
        write_folded(store, folder, Folded(history.summary, history.segments, history.loose))
        history = replace(history, folded=history.summary.known)
    return history


def read_entries(store: Store, folder: str, base: BaseFacts) -> Iterator[LedgerEntry]:
    """Yield every finished trial, in the order of their numbers.

    Raises:
        CorruptRecord: a record is not what it should be.
    """
    start = 0
    for segment in _segments(store, folder):
        yield from segment.entries
        start = (segment.number + 1) * SEGMENT
    for found in _trials_from(store, folder, start):
        entry = found if isinstance(found, LedgerEntry) else found.entry(base)
        if entry is not None:
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


def _with_segments(store: Store, folder: str, folded: Folded) -> History:
    """What is stored folded, and the segments that were written later."""
    known = folded.summary.known
    history = History(folded.summary, (), folded.loose, folded.segments, folded=known)
    for segment in _segments(store, folder, folded.segments):
        history = replace(
            history,
            summary=fold(history.summary, segment.entries),
            loose=history.loose.without(segment_indices(segment.number)),
            segments=segment.number + 1,
        )
    return history


def _segments(store: Store, folder: str, number: int = 0) -> Iterator[Segment]:
    while (segment := load_record(store, keys.ledger_segment(folder, number), Segment)) is not None:
        yield segment
        number += 1


def _trials_from(
    store: Store,
    folder: str,
    index: int,
    known: Callable[[int], bool] = lambda _index: False,
) -> Iterator[LedgerEntry | TrialRecords]:
    """Trials from a number on but for those that are known: those taken over, then the own ones.

    Requests are written in order, so the first gap is the end.
    """
    inherited = load_inherited(store, folder)
    if inherited is not None and index < inherited.trials:
        numbers = [entry.index for entry in inherited.tail]
        if numbers != list(range(index, min(inherited.trials, index + SEGMENT))):
            raise CorruptRecord(
                f"the trials that {store.uri}/{folder} took over do not go on from its segments",
                "restore the objects: records are never edited",
            )
        yield from (entry for entry in inherited.tail if not known(entry.index))
        index = inherited.trials
    while True:
        if not known(index):
            trial = load_trial(store, folder, index)
            if trial is None:
                return
            yield trial
        index += 1
