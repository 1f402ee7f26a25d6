"""A search's trials in the store: read at a start, packed into segments as they end.

A trial is in flight once its request is written, and finished once its result is. Nothing else is
state: a process may die between any two writes, and the next one reads where it was.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from detnas.records import keys
from detnas.records.proposal import Proposal
from detnas.records.requests import StudentRequest
from detnas.records.results import DetectorResult
from detnas.search.base import BaseFacts
from detnas.search.folded import load_folded, write_folded
from detnas.search.inherited import load_inherited
from detnas.search.ledger import LedgerEntry, ledger_entry
from detnas.search.loose import LooseEntries
from detnas.search.segments import SEGMENT, Segment, pack
from detnas.search.summary import Summary, fold
from detnas.store import Store
from detnas.store.artifacts import create_record, load_record
from detnas.store.errors import CorruptRecord


@dataclass(frozen=True, slots=True)
class History:
    """Where a search stands.

    Attributes:
        summary: finished trials, folded.
        in_flight: trials that are decided and have no result, in order.
        loose: finished trials that are in no segment yet, by number.
        segments: how many segments are written.
        folded: how many of them the stored summary of segments holds.
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


def load_history(store: Store, folder: str, base: BaseFacts, top_k: int) -> History:
    """Read where a search stands: its segments, folded, then the trials after them one by one.

    Args:
        store: where the search lies.
        folder: key of the search's folder.
        base: the detector the search set out from.
        top_k: candidates that are kept.

    Raises:
        CorruptRecord: a record is not what it should be.
    """
    summary, segments = load_folded(store, folder, top_k)
    history = History(summary, segments=segments, folded=segments)
    for segment in _segments(store, folder, segments):
        summary = fold(history.summary, segment.entries)
        history = replace(history, summary=summary, segments=segment.number + 1)
    for found in _trials_from(store, folder, base, history.segments * SEGMENT):
        history = _with_trial(history, found)
    return history


def write_segments(store: Store, folder: str, history: History) -> History:
    """Write every segment that is complete; the history then has fewer loose entries."""
    while (segment := pack(history.segments, history.loose)) is not None:
        create_record(store, keys.ledger_segment(folder, segment.number), segment)
        loose = history.loose.without(entry.index for entry in segment.entries)
        history = replace(history, loose=loose, segments=history.segments + 1)
    if history.folded < history.segments:
        write_folded(store, folder, history.segments, history.summary.top_k)
        history = replace(history, folded=history.segments)
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
    for found in _trials_from(store, folder, base, start):
        if isinstance(found, LedgerEntry):
            yield found


def read_trial(
    store: Store, folder: str, base: BaseFacts, index: int
) -> Proposal | LedgerEntry | None:
    """One trial: what came of it, its proposal while it is in flight, or None before that.

    Raises:
        CorruptRecord: a record is not what it should be.
    """
    trial = keys.trial_folder(folder, index)
    request = load_record(store, keys.request_key(trial), StudentRequest)
    if request is None:
        return None
    if request.trial is None or request.trial.index != index:
        raise CorruptRecord(
            f"{store.uri}/{keys.request_key(trial)} is not the request of trial {index}",
            "restore the object: records are never edited",
        )
    result = load_record(store, keys.result_key(trial), DetectorResult)
    return request.trial if result is None else ledger_entry(request.trial, result, base)


def _with_trial(history: History, found: Proposal | LedgerEntry) -> History:
    return history.started(found) if isinstance(found, Proposal) else history.finished(found)


def _segments(store: Store, folder: str, number: int = 0) -> Iterator[Segment]:
    while (segment := load_record(store, keys.ledger_segment(folder, number), Segment)) is not None:
        yield segment
        number += 1


def _trials_from(
    store: Store, folder: str, base: BaseFacts, index: int
) -> Iterator[Proposal | LedgerEntry]:
    """Trials from a number on; requests are written in order, so the first gap is the end."""
    inherited = load_inherited(store, folder)
    if inherited is not None and index < inherited.trials:
        numbers = [entry.index for entry in inherited.tail]
        if numbers != list(range(index, min(inherited.trials, index + SEGMENT))):
            raise CorruptRecord(
                f"the trials that {store.uri}/{folder} took over do not go on from its segments",
                "restore the objects: records are never edited",
            )
        yield from inherited.tail
        index = inherited.trials
    while (found := read_trial(store, folder, base, index)) is not None:
        yield found
        index += 1
