"""Finished trials, folded, in one object: so that a restart does not read them one by one.

It follows from the segments and the results of trials alone, so it may be lost, be old, or be
left out: what it lacks is read from those.
"""

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from pydantic import Field, model_validator

from detnas.records import keys
from detnas.records.results import Outcome
from detnas.records.settings import Resolution
from detnas.schema import Count, Schema
from detnas.search.fingerprints import Fingerprints
from detnas.search.front import FrontPoint
from detnas.search.ledger import LedgerEntry
from detnas.search.loose import LooseEntries
from detnas.search.segments import SEGMENT
from detnas.search.summary import Summary
from detnas.store import Store
from detnas.store.artifacts import load_record, put_record
from detnas.store.errors import CorruptRecord

FORMAT: Literal[1] = 1
"""Raised whenever folding the same trials gives another summary."""


@dataclass(frozen=True, slots=True)
class Folded:
    """Some of a search's finished trials.

    Attributes:
        summary: all of them, folded.
        segments: of the ledger that are folded in whole.
        loose: those in none of these segments, by number.
    """

    summary: Summary
    segments: int = 0
    loose: LooseEntries = field(default_factory=LooseEntries)


class _Point(Schema):
    index: Count
    resolution: Resolution
    map: float
    flops: Count


class _Evaluated(Schema):
    # 64 bits in hexadecimal digits: many readers of JSON keep 53 of a number's.
    parent: Count | None
    fingerprints: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")], ...]


class FoldedTrials(Schema):
    """`Folded` as it is stored; the other fields are those of `Summary`."""

    format: Literal[1]
    segments: Count
    loose: tuple[LedgerEntry, ...]
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
    def _has_what_it_counts(self) -> "FoldedTrials":
        """Who believed another number would count the trials up to it one by one."""
        first = self.segments * SEGMENT
        loose = [entry.index for entry in self.loose]
        numbers = sorted((*loose, *self.missing))
        if len(numbers) != self.next_index - first or numbers != list(
            range(first, self.next_index)
        ):
            raise ValueError(f"it has or misses each trial from {first} to {self.next_index - 1}")
        entries = [entry.index for entry in (*self.top, *self.failures)]
        named = [*entries, *self.lost_trials, *(point.index for point in self.front)]
        if max(named, default=-1) >= self.next_index:
            raise ValueError(f"its trials have numbers below {self.next_index}")
        return self


def load_folded(store: Store, folder: str, top_k: int) -> Folded:
    """Return the finished trials that are stored folded; nothing where there is no such record.

    One that this version can not read, or of another ``top_k``, counts as not there.

    Args:
        store: where the search lies.
        folder: key of the search's folder.
        top_k: candidates that the search keeps.
    """
    try:
        record = load_record(store, keys.folded_ledger(folder), FoldedTrials)
    except CorruptRecord:
        record = None
    if record is None or record.top_k != top_k:
        return Folded(Summary(top_k))
    return Folded(_summary(record), record.segments, LooseEntries(record.loose))


def write_folded(store: Store, folder: str, folded: Folded) -> None:
    """Store finished trials folded, in place of those that were.

    Args:
        store: where the search lies.
        folder: key of the search's folder.
        folded: trials whose segments and results are written.
    """
    put_record(store, keys.folded_ledger(folder), _record(folded))


def _record(folded: Folded) -> FoldedTrials:
    summary = folded.summary
    points = tuple(
        _Point(index=p.index, resolution=p.resolution, map=p.map, flops=p.flops)
        for p in summary.front
    )
    evaluated = tuple(
        _Evaluated(parent=parent, fingerprints=tuple(f"{one:016x}" for one in prints))
        for parent, prints in summary.evaluated.items()
    )
    return FoldedTrials(
        format=FORMAT,
        segments=folded.segments,
        loose=tuple(folded.loose[index] for index in sorted(folded.loose)),
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


def _summary(record: FoldedTrials) -> Summary:
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
