"""What a process keeps in memory of a search: the ledger, folded."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from detnas.errors import UserError
from detnas.ledger.entry import LedgerEntry
from detnas.ledger.fingerprints import Fingerprints
from detnas.ledger.front import Front, extend
from detnas.records.proposal import Proposal
from detnas.records.results import Outcome

LATEST_FAILURES = 5
"""Failed trials that are kept to say why they failed."""

LATEST_DURATIONS = 9
"""Trials by which the next ones' time is estimated: more would keep old times for longer."""


MOST_MISSING = 100_000
"""Trials that may be in flight at a time; a damaged record could speak of any number."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Finished trials, folded; the same whatever the order they were folded in.

    Attributes:
        top_k: how many candidates are kept.
        inherited: trials of another search, from which this one goes on: the first numbers are
            theirs. They are candidates and parents, and count for nothing else.
        next_index: one more than the highest finished trial's number.
        missing: numbers below it whose trials have not finished.
        lost_trials: numbers of the trials that ended for want of infrastructure.
        outcomes: finished trials by outcome.
        top: the best trials, best first; of equals, the earlier first.
        front: the Pareto front.
        failures: the last trials, by number, that did not succeed; at most `LATEST_FAILURES`.
        evaluated: fingerprints of proposals that need no second try, by parent.
        last_success: number of the latest trial that succeeded; -1 while none has.
        milliseconds: wall time of all finished trials' jobs together; whole, so that the order
            of adding up is nothing.
        durations: number and milliseconds of the latest own trials, by number, that were not lost
            to the infrastructure; at most `LATEST_DURATIONS`.
    """

    top_k: int
    inherited: int = 0
    next_index: int = 0
    missing: frozenset[int] = frozenset()
    lost_trials: frozenset[int] = frozenset()
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    top: tuple[LedgerEntry, ...] = ()
    front: Front = ()
    failures: tuple[LedgerEntry, ...] = ()
    evaluated: Mapping[int | None, Fingerprints] = field(default_factory=dict)
    last_success: int = -1
    milliseconds: int = 0
    durations: tuple[tuple[int, int], ...] = ()

    @property
    def known(self) -> int:
        """Number of trials folded in, another search's too."""
        return self.next_index - len(self.missing)

    @property
    def finished(self) -> int:
        """Number of own trials that ended, whatever the outcome."""
        return self.known - self.inherited

    @property
    def lost(self) -> int:
        """Number of trials lost to the infrastructure: they use up neither trials nor patience."""
        return len(self.lost_trials)

    @property
    def best(self) -> LedgerEntry | None:
        """The trial of highest score; none while none has succeeded."""
        return self.top[0] if self.top else None

    @property
    def stale(self) -> int:
        """Finished trials that are later than the best one, which `patience` bounds.

        Counted by number, not by time, so that a restart finds the same. Lost ones say nothing of
        the search, so they are not counted; nor are another search's.
        """
        since = max(self.top[0].index + 1 if self.top else 0, self.inherited)
        uncounted = self.missing | self.lost_trials
        return self.next_index - since - sum(1 for index in uncounted if index >= since)

    def failures_in_a_row(self, forgiven: int = 0) -> int:
        """Finished trials later than the last that succeeded, by number.

        Args:
            forgiven: trials below this number do not count.
        """
        since = max(self.last_success + 1, forgiven, self.inherited)
        unknown = sum(1 for index in self.missing if index >= since)
        return max(self.next_index - since - unknown, 0)

    def knows(self, index: int) -> bool:
        """Whether this trial is folded in."""
        return index < self.next_index and index not in self.missing

    def has_evaluated(self, proposal: Proposal) -> bool:
        """Whether an equal proposal ended, other than for want of infrastructure."""
        return fingerprint(proposal) in self.evaluated.get(proposal.parent, ())


def fold(summary: Summary, entries: Iterable[LedgerEntry]) -> Summary:
    """Take finished trials in; one that is known already changes nothing."""
    evaluated: dict[int | None, set[int]] = {}
    for entry in entries:
        if summary.knows(entry.index):
            continue
        summary = _fold_one(summary, entry)
        if entry.outcome is not Outcome.INFRASTRUCTURE:
            evaluated.setdefault(entry.proposal.parent, set()).add(fingerprint(entry.proposal))
    merged = dict(summary.evaluated)
    for parent, fingerprints in evaluated.items():
        merged[parent] = Fingerprints({*merged.get(parent, ()), *fingerprints})
    return replace(summary, evaluated=merged)


def fingerprint(proposal: Proposal) -> int:
    """What a proposal would try, apart from its parent, number and seed: 64 bits."""
    content = proposal.model_dump_json(include={"step", "action", "teacher"})
    return int.from_bytes(blake2b(content.encode(), digest_size=8).digest())


def _fold_one(summary: Summary, entry: LedgerEntry) -> Summary:
    missing = summary.missing - {entry.index}
    if entry.index > summary.next_index + MOST_MISSING:
        problem = f"trial {entry.index} is said to have ended, {summary.next_index} are known"
        raise UserError(problem, "restore the search's records: trials are numbered in order")
    if entry.index > summary.next_index:
        missing |= frozenset(range(summary.next_index, entry.index))
    lost = {entry.index} if entry.outcome is Outcome.INFRASTRUCTURE else frozenset[int]()
    if not entry.inherited:
        summary = _counted(summary, entry)
    return replace(
        summary,
        inherited=summary.inherited + entry.inherited,
        next_index=max(summary.next_index, entry.index + 1),
        missing=missing,
        lost_trials=summary.lost_trials | lost,
        top=_top(summary, entry),
        front=extend(summary.front, entry),
        last_success=max(summary.last_success, entry.index if entry.succeeded else -1),
    )


def _counted(summary: Summary, entry: LedgerEntry) -> Summary:
    return replace(
        summary,
        outcomes=Counter(summary.outcomes) + Counter([entry.outcome]),
        failures=_failures(summary, entry),
        milliseconds=summary.milliseconds + round(entry.seconds * 1000),
        durations=_durations(summary, entry),
    )


def _top(summary: Summary, entry: LedgerEntry) -> tuple[LedgerEntry, ...]:
    if entry.h is None or entry.weights is None:  # without weights it is nobody's parent
        return summary.top
    return tuple(sorted((*summary.top, entry), key=_rank)[: summary.top_k])


def _failures(summary: Summary, entry: LedgerEntry) -> tuple[LedgerEntry, ...]:
    if entry.succeeded:
        return summary.failures
    failed = sorted((*summary.failures, entry), key=lambda failure: failure.index)
    return tuple(failed[-LATEST_FAILURES:])


def _durations(summary: Summary, entry: LedgerEntry) -> tuple[tuple[int, int], ...]:
    if entry.outcome is Outcome.INFRASTRUCTURE:
        return summary.durations
    taken = sorted((*summary.durations, (entry.index, round(entry.seconds * 1000))))
    return tuple(taken[-LATEST_DURATIONS:])


def _rank(entry: LedgerEntry) -> tuple[float, int]:
    assert entry.h is not None
    return -entry.h, entry.index
