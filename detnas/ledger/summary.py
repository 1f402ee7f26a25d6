"""What a process keeps in memory of the ledger: its entries, folded into one summary."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Annotated, Any

from pydantic import BeforeValidator, FailFast, Field, PlainSerializer, model_validator

from detnas.actions import ActionKind
from detnas.errors import UserError
from detnas.ledger.entry import LedgerEntry
from detnas.ledger.estimates import ObservedChanges, squared_change, step_kind
from detnas.records.latency import Milliseconds
from detnas.records.proposal import Proposal, Step
from detnas.records.results import MetricError, Outcome
from detnas.records.settings import Resolution
from detnas.schema import Count, Schema
from detnas.spec.search import MAX_TRIALS

LATEST_FAILURES = 5
"""Failed trials whose messages are kept."""

LATEST_DURATIONS = 9
"""Trials from which the duration of the next ones is estimated; more would react more slowly."""


_STEP_KINDS = len(Step) + len(ActionKind)


class FrontPoint(Schema):
    """A student at one resolution that no other student at any resolution dominates.

    Attributes:
        index: of the trial.
        map: COCO mAP, a fraction.
        flops: of one image at this resolution.
        h: the score there.
        map_error: standard error of mAP; None if unknown.
        milliseconds: of one image, if H counts latencies: then that is the cost, not the FLOPs.
    """

    index: Count
    resolution: Resolution
    map: float
    flops: Count
    h: float
    map_error: MetricError | None = None
    milliseconds: Milliseconds | None = None

    @property
    def cost(self) -> float:
        """What is weighed against mAP; all points of a front have milliseconds, or none has."""
        return self.flops if self.milliseconds is None else self.milliseconds

    def dominates(self, other: "FrontPoint") -> bool:
        """Whether it is at least as accurate and cheap; of equals, the earlier one dominates."""
        if (self.map, self.cost) == (other.map, other.cost):
            return self.name < other.name
        return self.map >= other.map and self.cost <= other.cost

    @property
    def name(self) -> tuple[int, str]:
        """Trial and resolution, by which equals are ordered."""
        return self.index, str(self.resolution)


def _distinct(values: Any) -> Any:
    if isinstance(values, list) and len({repr(value) for value in values}) < len(values):
        raise ValueError("it names something twice")
    return values


Tried = tuple[Count | None, Count]
"""What a proposal tries: its parent, and a hash of the rest, of 48 bits."""

_DISTINCT = BeforeValidator(_distinct)
Numbers = Annotated[frozenset[Count], _DISTINCT, PlainSerializer(sorted)]
_Tried = Annotated[
    frozenset[Tried],
    _DISTINCT,
    PlainSerializer(lambda tried: sorted(tried, key=lambda one: (one[0] is not None, one))),
]


class Summary(Schema):
    """Finished trials, folded; independent of the order in which they were folded.

    Attributes:
        top_k: how many possible parents are kept.
        inherited: how many trials are another search's, with which this one began: those of the
            first numbers. They may be parents, and count for nothing else.
        next_index: one more than the highest finished trial's number.
        missing: numbers below it whose trials have not finished.
        lost_trials: numbers of the trials that finished with an infrastructure failure.
        outcomes: finished trials by outcome.
        top: the best trials, best first; of equals, the earlier first.
        front: the Pareto front, accuracy over cost, by rising cost.
        failures: the last trials, by number, that did not succeed; at most `LATEST_FAILURES`.
        tried: what needs no second try, for each parent that may still be drawn: the base, those of
            `top`, and those that have not finished.
        last_success: number of the latest trial that succeeded; -1 before the first.
        milliseconds: wall time of all finished trials' jobs; an integer, so that the order of
            addition does not matter.
        changes: what each kind of step has changed, if trials are selected by estimates.
        durations: number and milliseconds of the latest own trials, by number, without those lost
            to the infrastructure; at most `LATEST_DURATIONS`.
    """

    top_k: Count
    inherited: Count = 0
    next_index: Count = 0
    missing: Annotated[Numbers, Field(max_length=MAX_TRIALS)] = frozenset()
    lost_trials: Annotated[Numbers, Field(max_length=MAX_TRIALS)] = frozenset()
    outcomes: Mapping[Outcome, int] = {}
    top: Annotated[tuple[LedgerEntry, ...], FailFast()] = ()
    front: Annotated[tuple[FrontPoint, ...], Field(max_length=MAX_TRIALS)] = ()
    failures: Annotated[tuple[LedgerEntry, ...], Field(max_length=LATEST_FAILURES)] = ()
    tried: _Tried = frozenset()
    last_success: int = -1
    milliseconds: Count = 0
    durations: Annotated[tuple[tuple[Count, Count], ...], Field(max_length=LATEST_DURATIONS)] = ()
    changes: Annotated[Mapping[str, ObservedChanges], Field(max_length=_STEP_KINDS)] = {}

    @model_validator(mode="after")
    def _is_of_its_trials(self) -> "Summary":
        if len(self.top) > self.top_k:
            raise ValueError(f"top has {len(self.top)} trials; {self.top_k} are kept")
        top, failures = ([one.index for one in some] for some in (self.top, self.failures))
        timed = [index for index, _ in self.durations]
        points = [(point.index, point.resolution) for point in self.front]
        for listed in (top, failures, timed, points):
            if len(set(listed)) < len(listed):
                raise ValueError("it names a trial twice")
        named = [*top, *failures, *self.lost_trials, *timed, *(index for index, _ in points)]
        if max([*named, self.last_success, self.inherited - 1]) >= self.next_index:
            raise ValueError(f"its trials have numbers below {self.next_index}")
        return self

    @property
    def folded_count(self) -> int:
        """Number of trials folded in, another search's too."""
        return self.next_index - len(self.missing)

    @property
    def finished_count(self) -> int:
        """Number of own trials that finished, whatever the outcome."""
        return self.folded_count - self.inherited

    @property
    def lost_count(self) -> int:
        """Number of trials lost to the infrastructure: they use up neither trials nor patience."""
        return len(self.lost_trials)

    @property
    def best(self) -> LedgerEntry | None:
        """The trial of highest score, estimated if so selected; None before the first success."""
        return self.top[0] if self.top else None

    @property
    def trials_since_best(self) -> int:
        """Finished trials later than the best one, which `patience` bounds.

        Counted by number, not by time, so that a restart finds the same. Lost ones and another
        search's do not count.
        """
        since = max(self.top[0].index + 1 if self.top else 0, self.inherited)
        uncounted = self.missing | self.lost_trials
        return self.next_index - since - sum(1 for index in uncounted if index >= since)

    def failures_in_a_row(self, first: int = 0) -> int:
        """Finished trials later than the last that succeeded, by number.

        Args:
            first: trials below this number do not count.
        """
        since = max(self.last_success + 1, first, self.inherited)
        unknown = sum(1 for index in self.missing if index >= since)
        return max(self.next_index - since - unknown, 0)

    def knows(self, index: int) -> bool:
        """Whether this trial is folded in."""
        return index < self.next_index and index not in self.missing


def tried(proposal: Proposal) -> Tried:
    """What a proposal tries, apart from its number and seed."""
    content = proposal.model_dump_json(include={"step", "action", "teacher"})
    return proposal.parent, int.from_bytes(blake2b(content.encode(), digest_size=6).digest())


def fold(summary: Summary, entries: Iterable[LedgerEntry]) -> Summary:
    """Add finished trials; one that is known already changes nothing."""
    more: set[Tried] = set()
    for entry in entries:
        if summary.knows(entry.index):
            continue
        summary = _with_entry(summary, entry)
        if entry.outcome is not Outcome.INFRASTRUCTURE:
            more.add(tried(entry.proposal))
    parents = {None, *(entry.index for entry in summary.top)}
    # A finished trial that is not among the best never becomes one of them.
    kept = (
        one
        for one in (*summary.tried, *more)
        if one[0] in parents or not summary.knows(one[0] or 0)
    )
    return summary.model_copy(update={"tried": frozenset(kept)})


def needed(summary: Summary, in_flight: Sequence[Proposal]) -> frozenset[int]:
    """Trials whose weights are retained.

    They may still be a parent (the best of them is what the user takes away), are the parent of a
    trial without a result, or are on the Pareto front. One that is none of these never becomes one.
    """
    possible = {entry.index for entry in summary.top}
    parents = {proposal.parent for proposal in in_flight if proposal.parent is not None}
    return frozenset(possible | parents | {point.index for point in summary.front})


def _with_entry(summary: Summary, entry: LedgerEntry) -> Summary:
    index, next_index = entry.index, summary.next_index
    if index > next_index + MAX_TRIALS:
        problem = f"trial {index} has a result, but only {next_index} are known"
        raise UserError(problem, "restore the search's records: trials are numbered in order")
    lost = {index} if entry.outcome is Outcome.INFRASTRUCTURE else frozenset[int]()
    changes: dict[str, object] = {
        "inherited": summary.inherited + entry.inherited,
        "next_index": max(summary.next_index, index + 1),
        "missing": (summary.missing | frozenset(range(next_index, index))) - {index},
        "lost_trials": summary.lost_trials | lost,
        "top": _top(summary, entry),
        "front": _front(summary.front, entry),
        "changes": _changes(summary.changes, entry),
        "last_success": max(summary.last_success, index if entry.succeeded else -1),
    }
    counts = {} if entry.inherited else _counts(summary, entry)
    return summary.model_copy(update={**changes, **counts})


def _counts(summary: Summary, entry: LedgerEntry) -> dict[str, object]:
    milliseconds = round(entry.seconds * 1000)
    durations, failures = summary.durations, summary.failures
    if entry.outcome is not Outcome.INFRASTRUCTURE:
        durations = tuple(sorted((*durations, (entry.index, milliseconds))))[-LATEST_DURATIONS:]
    if not entry.succeeded:
        in_order = sorted((*failures, entry), key=lambda failure: failure.index)
        failures = tuple(in_order[-LATEST_FAILURES:])
    return {
        "outcomes": Counter(summary.outcomes) + Counter([entry.outcome]),
        "failures": failures,
        "milliseconds": summary.milliseconds + milliseconds,
        "durations": durations,
    }


def _top(summary: Summary, entry: LedgerEntry) -> tuple[LedgerEntry, ...]:
    # A student without weights cannot be a parent; a subnet needs none.
    if entry.h is None or (entry.weights is None and entry.proposal.step is not Step.SUBNET):
        return summary.top
    best_first = sorted(
        (*summary.top, entry), key=lambda one: (-(one.selected_h or 0.0), one.index)
    )
    return tuple(best_first[: summary.top_k])


def _changes(
    before: Mapping[str, ObservedChanges], entry: LedgerEntry
) -> Mapping[str, ObservedChanges]:
    prior = entry.proposal.prior
    square = None if prior is None else squared_change(entry.scores, prior)
    if square is None:
        return before
    kind = step_kind(entry.proposal)
    return {**before, kind: before.get(kind, ObservedChanges()).with_trial(square)}


def _front(front: tuple[FrontPoint, ...], entry: LedgerEntry) -> tuple[FrontPoint, ...]:
    index = entry.index
    for score in entry.scores:
        point = FrontPoint(
            index=index,
            resolution=score.resolution,
            map=score.map,
            flops=score.flops,
            h=score.h,
            map_error=score.map_error,
            milliseconds=score.milliseconds,
        )
        if not any(old.dominates(point) for old in front):
            front = (*(old for old in front if not point.dominates(old)), point)
    return tuple(sorted(front, key=lambda point: point.cost))
