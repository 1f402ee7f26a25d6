"""Which subnets of the pool to evaluate next: evolutionary search (paper, appendix F).

A pure function of settings, finished trials and trials in flight. The paper names no algorithm;
this is that of once-for-all networks: a random population, then in equal parts mutations, which
draw each slot anew with a small probability, and crossovers, which take each slot from either
parent. The very first subnet is the one that equals the base, if there is one: trained in the pool
and alone, it shows what the pool's training is worth (paper, table 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from detnas.ledger.subnets import slot_of
from detnas.ledger.summary import Summary, Tried, tried
from detnas.records.proposal import Proposal, Step
from detnas.score import Scorer
from detnas.search.propose import SearchEnd, budget, next_index, search_end, trial_random
from detnas.spec.search import SUBNET_PARENTS, Search
from detnas.teachers import Teacher, TeacherSpace

T = TypeVar("T")

_MUTATION = 0.1
"""Probability that a mutation draws a slot anew."""
_CROSSOVER = 0.5
"""Probability that a subnet is a crossover."""
_REDRAWS = 32
"""Draws that may repeat a subnet before another way of drawing is taken."""


@dataclass(frozen=True, slots=True)
class SubnetBatch:
    """Subnets that one job evaluates.

    Attributes:
        first: number of the trial that the first of them is; the others follow it.
        subnets: all different, and different from those of every other trial.
    """

    first: int
    subnets: tuple[Teacher, ...]


def propose_subnets(
    settings: Search,
    space: TeacherSpace,
    base: Scorer,
    summary: Summary,
    in_flight: Sequence[Proposal],
) -> SubnetBatch | SearchEnd:
    """Decide the subnets of the next job.

    Args:
        settings: of the search; its seed and the trials' numbers decide every draw.
        space: the subnets of the pool.
        base: the detector that they are compared with.
        summary: finished trials.
        in_flight: trials that are decided and have no result.
    """
    if end := search_end(settings, space, summary, in_flight):
        return end
    first = next_index(summary, in_flight)
    left = budget(settings, space) - (first - summary.inherited - summary.lost_count)
    known = {*summary.tried, *map(tried, in_flight)}
    parents = [entry.proposal.teacher for entry in summary.top]
    subnets = [] if first else _like_base(base, space)
    known.update(map(_tried, subnets))
    for index in list(slot_of(first))[first - slot_of(first).start :][len(subnets) : left]:
        subnet = _untried(space, parents, known, trial_random(settings.seed, index))
        known.add(_tried(subnet))
        subnets.append(subnet)
    return SubnetBatch(first, tuple(subnets))


def _like_base(base: Scorer, space: TeacherSpace) -> list[Teacher]:
    """The subnet that equals the base, if there is one."""
    assert base.supernet is not None
    same = base.supernet.subnet_like(base.architecture, base.detector.neck, space)
    return [] if same is None else [same]


def _untried(
    space: TeacherSpace, parents: Sequence[Teacher], known: set[Tried], random: Random
) -> Teacher:
    """A subnet that no trial evaluates; there is one, as the budget is at most their number."""
    population = len(parents) >= min(SUBNET_PARENTS, space.count())
    for draws in range(2 * _REDRAWS):
        evolves = population and draws < _REDRAWS
        subnet = _evolved(space, parents, random) if evolves else space.sample(random)
        if _tried(subnet) not in known:
            return subnet
    return next(subnet for subnet in space.subnets() if _tried(subnet) not in known)


def _evolved(space: TeacherSpace, parents: Sequence[Teacher], random: Random) -> Teacher:
    if random.random() < _CROSSOVER:
        one, other = random.choice(parents), random.choice(parents)
        return Teacher(
            depths=_crossed(one.depths, other.depths, random),
            widths=_crossed(one.widths, other.widths, random),
        )
    parent, drawn = random.choice(parents), space.sample(random)
    return Teacher(
        depths=_mutated(parent.depths, drawn.depths, random),
        widths=_mutated(parent.widths, drawn.widths, random),
    )


def _crossed(one: tuple[T, ...], other: tuple[T, ...], random: Random) -> tuple[T, ...]:
    return tuple(map(random.choice, zip(one, other, strict=True)))


def _mutated(slots: tuple[T, ...], drawn: tuple[T, ...], random: Random) -> tuple[T, ...]:
    pairs = zip(slots, drawn, strict=True)
    return tuple(new if random.random() < _MUTATION else old for old, new in pairs)


def _tried(subnet: Teacher) -> Tried:
    return tried(Proposal(index=0, step=Step.SUBNET, teacher=subnet, seed=0))
