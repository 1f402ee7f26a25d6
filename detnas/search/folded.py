"""The ledger's segments, folded: so that a restart does not read every trial of a long search.

Record n is the summary of segments 0 to n - 1. It follows from them alone, so it may be lost or
left out: what is missing is folded from the segments themselves.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, model_validator

from detnas.records import keys
from detnas.records.results import Outcome
from detnas.records.settings import Resolution
from detnas.schema import Count, Schema
from detnas.search.fingerprints import Fingerprints
from detnas.search.front import FrontPoint
from detnas.search.ledger import LedgerEntry
from detnas.search.segments import SEGMENT, Segment
from detnas.search.summary import Summary, fold
from detnas.store import Store
from detnas.store.artifacts import canonical_json, load_record
from detnas.store.errors import CorruptRecord

FORMAT: Literal[1] = 1
"""Raised whenever folding the same segments gives another summary."""


class _Point(Schema):
    index: Count
    resolution: Resolution
    map: float
    flops: Count


class _Evaluated(Schema):
    # 64 bits in hexadecimal digits: many readers of JSON keep 53 of a number's.
    parent: Count | None
    fingerprints: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")], ...]


class FoldedSegments(Schema):
    """A summary as it is stored; the fields are those of `Summary`."""

    format: Literal[1]
    segments: Count
    top_k: Count
    inherited: Count = 0
    next_index: Count
    missing: tuple[Count, ...]
    lost_trials: tuple[Count, ...]
    outcomes: dict[Outcome, int]
    top: tuple[LedgerEntry, ...]
    front: tuple[_Point, ...]
    failures: tuple[LedgerEntry, ...]
    evaluated: tuple[_Evaluated, ...]
    last_success: int
    milliseconds: Count

    @model_validator(mode="after")
    def _of_whole_segments(self) -> "FoldedSegments":
        """Who believed another number would count the trials up to it one by one."""
        trials = self.segments * SEGMENT
        entries = [entry.index for entry in (*self.top, *self.failures)]
        numbers = [*entries, *self.lost_trials, *(point.index for point in self.front)]
        if self.next_index != trials or self.missing or max(numbers, default=-1) >= trials:
            raise ValueError(f"{self.segments} segments hold the trials 0 to {trials - 1}")
        return self


def load_folded(store: Store, folder: str, top_k: int) -> tuple[Summary, int]:
    """Return the longest stored summary of a search's segments, and how many it folds.

    One that this version can not read, or of another ``top_k``, counts as not there.

    Args:
        store: where the search lies.
        folder: key of the search's folder.
        top_k: candidates that the search keeps.
    """
    for key in sorted(_folded_keys(store, folder), reverse=True):
        try:
            record = load_record(store, key, FoldedSegments)
        except CorruptRecord:
            continue
        if record is not None and record.top_k == top_k:
            return _summary(record), record.segments
    return Summary(top_k), 0


def write_folded(store: Store, folder: str, segments: int, top_k: int) -> None:
    """Store the summary of a search's first segments, and drop the shorter ones.

    Args:
        store: where the search lies.
        folder: key of the search's folder.
        segments: how many are written, and to be folded.
        top_k: candidates that the search keeps.
    """
    summary, done = load_folded(store, folder, top_k)
    for number in range(done, segments):
        segment = load_record(store, keys.ledger_segment(folder, number), Segment)
        assert segment is not None  # segments are written in order and never deleted
        summary = fold(summary, segment.entries)
    longest = keys.folded_ledger(folder, segments)
    store.put(longest, canonical_json(_record(summary, segments)))
    for key in _folded_keys(store, folder):
        if key < longest:
            store.delete(key)


def _folded_keys(store: Store, folder: str) -> Iterator[str]:
    yield from store.list(keys.folded_ledgers(folder))


def _record(summary: Summary, segments: int) -> FoldedSegments:
    points = tuple(
        _Point(index=p.index, resolution=p.resolution, map=p.map, flops=p.flops)
        for p in summary.front
    )
    evaluated = tuple(
        _Evaluated(parent=parent, fingerprints=tuple(f"{one:016x}" for one in prints))
        for parent, prints in summary.evaluated.items()
    )
    return FoldedSegments(
        format=FORMAT,
        segments=segments,
        top_k=summary.top_k,
        inherited=summary.inherited,
        next_index=summary.next_index,
        missing=tuple(sorted(summary.missing)),
        lost_trials=tuple(sorted(summary.lost_trials)),
        outcomes=dict(summary.outcomes),
        top=summary.top,
        front=points,
        failures=summary.failures,
        evaluated=tuple(sorted(evaluated, key=lambda e: -1 if e.parent is None else e.parent)),
        last_success=summary.last_success,
        milliseconds=summary.milliseconds,
    )


def _summary(record: FoldedSegments) -> Summary:
    return replace(
        Summary(record.top_k),
        inherited=record.inherited,
        next_index=record.next_index,
        missing=frozenset(record.missing),
        lost_trials=frozenset(record.lost_trials),
        outcomes=record.outcomes,
        top=record.top,
        front=tuple(FrontPoint(p.index, p.resolution, p.map, p.flops) for p in record.front),
        failures=record.failures,
        evaluated={
            one.parent: Fingerprints(int(digits, 16) for digits in one.fingerprints)
            for one in record.evaluated
        },
        last_success=record.last_success,
        milliseconds=record.milliseconds,
    )
