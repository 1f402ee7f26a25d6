"""Finished trials, folded, in one object: so that a restart does not read them one by one.

It follows from the segments and the results of trials alone, so it may be lost, be old, or be
left out: what it lacks is read from those.
"""

from base64 import b64decode, b64encode
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from pydantic import FailFast, Field, ValidationError, model_validator

from detnas.ledger.entry import LedgerEntry
from detnas.ledger.fingerprints import Fingerprints
from detnas.ledger.front import FrontPoint
from detnas.ledger.loose import LooseEntries
from detnas.ledger.segments import SEGMENT
from detnas.ledger.summary import LATEST_DURATIONS, LATEST_FAILURES, Summary
from detnas.records import keys
from detnas.records.results import Outcome
from detnas.records.settings import Resolution
from detnas.schema import Count, Schema
from detnas.spec.search import MOST_PARALLEL
from detnas.store import Store
from detnas.store.artifacts import canonical_json, load_record
from detnas.store.errors import CorruptRecord

FOLDING: Literal[4] = 4
"""Raised whenever folding the same trials gives another summary, or it is stored otherwise."""

LARGEST_FOLDED = 12 << 20
"""Bytes; 500,000 trials take half of it. A larger one is neither written nor to be read."""

MOST_LOOSE = 10_000
"""Trials that wait for others of their hundred; a thousand at the same time leave about 6,000."""

_MOST_LOST = 100_000
_MOST_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Some of a search's finished trials.

    Attributes:
        summary: all of them, folded.
        segments: of the ledger, from the first on, that are folded in whole.
        later: numbers of the segments after a gap that are folded in whole.
        loose: those in none of these segments, by number.
    """

    summary: Summary
    segments: int = 0
    later: frozenset[int] = frozenset()
    loose: LooseEntries = field(default_factory=LooseEntries)


class _Point(Schema):
    index: Count
    resolution: Resolution
    map: float
    flops: Count


class _Evaluated(Schema):
    parent: Count | None
    fingerprints: str


class SnapshotRecord(Schema):
    """`Snapshot` as it is stored; the other fields are those of `Summary`.

    What there are many of is stored as text, since a value of JSON takes much memory to read:
    loose trials and fingerprints, as their modules pack them, in Base64.
    """

    folding: Literal[4]
    segments: Count
    later: Annotated[tuple[Count, ...], Field(max_length=MOST_LOOSE)] = ()
    loose: Annotated[tuple[str, ...], Field(max_length=MOST_LOOSE)]
    top_k: Count
    inherited: Count = 0
    next_index: Count
    missing: Annotated[tuple[Count, ...], Field(max_length=MOST_PARALLEL)]
    lost_trials: Annotated[tuple[Count, ...], Field(max_length=_MOST_LOST)]
    outcomes: dict[Outcome, int]
    top: Annotated[tuple[LedgerEntry, ...], FailFast()]
    front: Annotated[tuple[_Point, ...], Field(max_length=_MOST_POINTS)]
    failures: Annotated[tuple[LedgerEntry, ...], Field(max_length=LATEST_FAILURES)]
    evaluated: tuple[_Evaluated, ...]
    last_success: int
    milliseconds: Count
    durations: Annotated[tuple[tuple[Count, Count], ...], Field(max_length=LATEST_DURATIONS)]

    @model_validator(mode="after")
    def _is_of_some_trials(self) -> "SnapshotRecord":
        if len(self.top) > self.top_k:
            raise ValueError(f"top has {len(self.top)} trials; {self.top_k} are kept")
        top, failures = ([one.index for one in some] for some in (self.top, self.failures))
        points = [(point.index, point.resolution) for point in self.front]
        parents = [one.parent for one in self.evaluated]
        timed = [index for index, _ in self.durations]
        trials = (self.missing, self.lost_trials, top, failures, timed)
        for listed in (self.later, *trials, points, parents):
            if len(set(listed)) != len(listed):
                raise ValueError("it names something twice")
        named = [*top, *failures, *self.lost_trials, *timed, *(index for index, _ in points)]
        if max([*named, self.last_success, self.inherited - 1]) >= self.next_index:
            raise ValueError(f"its trials have numbers below {self.next_index}")
        return self

    def has_what_it_counts(self, loose: Collection[int]) -> bool:
        """Whether it has or misses each trial up to its number, once.

        Who believed another number would count the trials up to it one by one.

        Args:
            loose: numbers of its loose trials.
        """
        first = self.segments * SEGMENT
        single = {*loose, *self.missing}
        later = frozenset(self.later)
        return (
            len(single) == len(loose) + len(self.missing)
            and len(single) + len(later) * SEGMENT == self.next_index - first
            and all(first <= index < self.next_index for index in single)
            and all(self.segments < number < self.next_index // SEGMENT for number in later)
            and not any(index // SEGMENT in later for index in single)
        )


def load_snapshot(store: Store, folder: str, top_k: int) -> Snapshot:
    """Return the finished trials that are stored folded; nothing where there is no such record.

    One that this version can not read, or of another ``top_k``, counts as not there.

    Args:
        store: where the search lies.
        folder: key of the search's folder.
        top_k: candidates that the search keeps.
    """
    try:
        record = load_record(store, keys.folded_ledger(folder), SnapshotRecord)
        if record is not None and record.top_k == top_k:
            loose = LooseEntries.unpacked(record.loose)
            if record.has_what_it_counts(loose.keys()):
                later = frozenset(record.later)
                return Snapshot(_summary(record), record.segments, later, loose)
    except (CorruptRecord, ValueError):
        pass
    return Snapshot(Summary(top_k))


def write_snapshot(store: Store, folder: str, folded: Snapshot) -> None:
    """Store finished trials folded, in place of those that were.

    Those that no reader would believe, so many there are, are not stored.

    Args:
        store: where the search lies.
        folder: key of the search's folder.
        folded: trials whose segments and results are written.
    """
    try:
        data = canonical_json(_record(folded))
    except ValidationError:
        return
    if len(data) <= LARGEST_FOLDED:
        store.put(keys.folded_ledger(folder), data)


def _record(folded: Snapshot) -> SnapshotRecord:
    summary = folded.summary
    points = tuple(
        _Point(index=p.index, resolution=p.resolution, map=p.map, flops=p.flops)
        for p in summary.front
    )
    evaluated = tuple(
        _Evaluated(parent=parent, fingerprints=b64encode(prints.packed).decode())
        for parent, prints in summary.evaluated.items()
    )
    return SnapshotRecord(
        folding=FOLDING,
        segments=folded.segments,
        later=tuple(sorted(folded.later)),
        loose=folded.loose.packed,
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
        durations=summary.durations,
    )


def _summary(record: SnapshotRecord) -> Summary:
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
            one.parent: Fingerprints.unpacked(b64decode(one.fingerprints, validate=True))
            for one in record.evaluated
        },
        last_success=record.last_success,
        milliseconds=record.milliseconds,
        durations=record.durations,
    )
