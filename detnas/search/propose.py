"""What to try next: hill climbing over student-teacher pairs (paper, algorithm 1), or its control.

A pure function of settings, finished trials and trials in flight. Asynchronous: a free slot takes
a proposal from the possible parents of the moment; one slot alone is the paper's algorithm.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from random import Random
from typing import TypeVar

from detnas.ledger.entry import LedgerEntry
from detnas.ledger.estimates import expected, expected_of_base, step_kind, step_spread
from detnas.ledger.summary import Summary, tried
from detnas.records.proposal import Prior, Proposal, Step
from detnas.score import Scorer
from detnas.search.pair import Move, Pair
from detnas.spec.search import Search, Selection, Strategy
from detnas.teachers import TeacherSpace

T = TypeVar("T")

_REDRAWS = 32
"""Draws that may repeat a trial before the untried neighbours are listed one by one."""


class EndReason(StrEnum):
    """Why a search ends."""

    TRIALS = "TrialsReached"
    PATIENCE = "NoBetterScore"
    SUBNETS = "AllSubnets"


@dataclass(frozen=True, slots=True)
class SearchEnd:
    """Why no trial is proposed now; one still in flight may change that by a better score."""

    reason: EndReason
    message: str


@dataclass(frozen=True, slots=True)
class _Climb:
    """Everything one proposal is drawn from.

    Until the baseline has finished the only pair is {base, supernet}; then, and in the warm-up,
    only teachers change. A pipeline's trials have no teacher to change.
    """

    settings: Search
    index: int
    pairs: tuple[Pair, ...]
    teacher_only: bool

    @property
    def student_probability(self) -> float:
        if self.settings.strategy is Strategy.PIPELINE:
            return 1.0
        return 0.0 if self.teacher_only else float(self.settings.student_probability)

    def draw(self, random: Random) -> Move:
        """One step from one of the pairs, at random."""
        pair = self._parent(random)
        if random.random() < self.student_probability:
            return pair.evolve_student(random)
        return pair.mutate_teacher(random)

    def _parent(self, random: Random) -> Pair:
        if self.settings.strategy is Strategy.RANDOM:
            return random.choice(self.pairs)
        return _rank_choice(random, self.pairs)

    def neighbours(self) -> Iterator[Move]:
        """Every step that may be drawn."""
        for pair in self.pairs:
            if self.student_probability < 1:
                yield from pair.teacher_steps()
            if self.student_probability > 0:
                yield from pair.student_steps()

    def numbered(self, move: Move) -> Proposal:
        """The proposal that a step makes."""
        return Proposal(
            index=self.index,
            parent=move.parent,
            step=move.step,
            action=move.action,
            teacher=move.teacher,
            seed=_job_seed(self.settings.seed, self.index),
        )


def propose(
    settings: Search,
    space: TeacherSpace,
    base: Scorer,
    summary: Summary,
    in_flight: Sequence[Proposal],
) -> Proposal | SearchEnd:
    """Decide the next trial.

    Args:
        settings: of the search; its seed and the trial's number decide every draw.
        space: the teachers of the pool.
        base: the detector that the search starts from.
        summary: finished trials.
        in_flight: trials that are decided and have no result.
    """
    found = _propose(settings, space, base, summary, in_flight)
    if isinstance(found, SearchEnd) or settings.selection is Selection.OBSERVED:
        return found
    return found.model_copy(update={"prior": _prior(found, base, summary)})


def _propose(
    settings: Search,
    space: TeacherSpace,
    base: Scorer,
    summary: Summary,
    in_flight: Sequence[Proposal],
) -> Proposal | SearchEnd:
    if end := search_end(settings, space, summary, in_flight):
        return end
    index = next_index(summary, in_flight)
    repeated = _repeated(summary, in_flight)
    waiting = any(proposal.step is Step.BASELINE for proposal in in_flight)
    pairs = () if waiting else tuple(_pair(entry, space, settings) for entry in summary.top)
    teacher_only = waiting or index <= settings.warmup_trials
    climb = _Climb(settings, index, pairs or (_base_pair(base, space, settings),), teacher_only)
    if not pairs:
        baseline = climb.numbered(Move(None, Step.BASELINE, space.largest))
        if not repeated(baseline):
            return baseline
    return _unrepeated(climb, trial_random(settings.seed, index), repeated)


def _prior(proposal: Proposal, base: Scorer, summary: Summary) -> Prior:
    """What is known of a trial's mAP before it is trained."""
    if proposal.parent is None:
        parent = expected_of_base(base.scores)
    else:
        parent = expected(next(e for e in summary.top if e.index == proposal.parent).scores)
    return Prior(parent=parent, spread=step_spread(summary.changes, step_kind(proposal)))


def search_end(
    settings: Search, space: TeacherSpace, summary: Summary, in_flight: Sequence[Proposal]
) -> SearchEnd | None:
    """Return why no trial is proposed now, or None; arguments as of `propose`."""
    decided = next_index(summary, in_flight) - summary.inherited - summary.lost_count
    if decided >= settings.trials:
        return SearchEnd(EndReason.TRIALS, f"all {settings.trials} trials are decided")
    if decided >= budget(settings, space):
        return SearchEnd(EndReason.SUBNETS, f"the pool has no more than {decided} subnets")
    if settings.has_patience and summary.trials_since_best >= settings.patience:
        return SearchEnd(
            EndReason.PATIENCE, f"no better score in {summary.trials_since_best} finished trials"
        )
    return None


def budget(settings: Search, space: TeacherSpace) -> int:
    """Return how many trials there may be: a search of the pool evaluates each subnet once."""
    if settings.strategy is not Strategy.TEACHER_POOL:
        return settings.trials
    return min(settings.trials, space.count())


def next_index(summary: Summary, in_flight: Sequence[Proposal]) -> int:
    """Return the number of the next trial."""
    return max([summary.next_index, *(proposal.index + 1 for proposal in in_flight)])


def _repeated(summary: Summary, in_flight: Sequence[Proposal]) -> Callable[[Proposal], bool]:
    known = summary.tried | {tried(proposal) for proposal in in_flight}
    return lambda proposal: tried(proposal) in known


def _unrepeated(climb: _Climb, random: Random, repeated: Callable[[Proposal], bool]) -> Proposal:
    """A draw that repeats no trial, unless everything was tried."""
    for _ in range(_REDRAWS):
        proposal = climb.numbered(climb.draw(random))
        if not repeated(proposal):
            return proposal
    untried = [p for p in map(climb.numbered, climb.neighbours()) if not repeated(p)]
    return random.choice(untried) if untried else proposal


def _base_pair(base: Scorer, space: TeacherSpace, settings: Search) -> Pair:
    return Pair(None, base.architecture, (), space.largest, space, settings.actions)


def _pair(entry: LedgerEntry, space: TeacherSpace, settings: Search) -> Pair:
    assert entry.architecture is not None
    teacher = entry.proposal.teacher
    return Pair(entry.index, entry.architecture, entry.added, teacher, space, settings.actions)


def trial_random(seed: int, index: int) -> Random:
    """The source of every draw that decides a trial; the same on every machine."""
    return Random(_digest(f"propose/{seed}/{index}"))


def _job_seed(seed: int, index: int) -> int:
    """Seed of a trial's job, of 31 bits."""
    return _digest(f"job/{seed}/{index}") >> 33


def _rank_choice(random: Random, ranked: Sequence[T]) -> T:
    """Draw from a list that is best first: of n, the weights are n, n−1, … 1."""
    return random.choices(ranked, weights=range(len(ranked), 0, -1))[0]


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
