"""Evolutionary search over the pool's subnets: what is proposed, and that it finds good ones."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from operator import eq
from random import Random

import pytest

from detnas.ledger import LedgerEntry, Summary, fold
from detnas.ledger.subnets import slot_of
from detnas.records.proposal import Proposal, Step
from detnas.records.results import Outcome
from detnas.score import ResolutionScore
from detnas.search import EndReason, SearchEnd, SubnetBatch, propose_subnets
from detnas.spec.search import SUBNET_PARENTS, Search
from detnas.teachers import SupernetShape, Teacher, TeacherSpace
from tests.detnas.trials import BASE, LARGE

SPACE = TeacherSpace()
SMALL_SPACE = TeacherSpace(min_depths=(1, 1, 1, 1), max_depths=(2, 2, 2, 2), widths=("1.0",))

POOLED = replace(BASE, supernet=SupernetShape())
"""A base that equals no subnet."""


def settings(trials: int, seed: int = 0) -> Search:
    return Search.model_validate({"strategy": "TeacherPool", "trials": trials, "seed": seed})


def trials_of(batch: SubnetBatch) -> list[Proposal]:
    return [
        Proposal(index=index, step=Step.SUBNET, teacher=subnet, seed=0, job=batch.first)
        for index, subnet in enumerate(batch.subnets, batch.first)
    ]


def entry(trial: Proposal, h: float | None) -> LedgerEntry:
    """A finished trial; lost to the infrastructure if it has no score."""
    score = [ResolutionScore(resolution=LARGE, map=0.5, flops=1, h=h)] if h is not None else []
    return LedgerEntry(
        proposal=trial,
        outcome=Outcome.INFRASTRUCTURE if h is None else Outcome.SUCCEEDED,
        scores=tuple(score),
        finished=datetime(2026, 1, 1, tzinfo=UTC),
        seconds=1.0,
    )


def searched(
    search: Search, fitness: Callable[[Teacher], float | None], space: TeacherSpace = SPACE
) -> tuple[list[LedgerEntry], SearchEnd]:
    summary, entries = Summary(top_k=search.max_parents), list[LedgerEntry]()
    while True:
        batch = propose_subnets(search, space, POOLED, summary, ())
        if isinstance(batch, SearchEnd):
            return entries, batch
        new = [entry(trial, fitness(trial.teacher)) for trial in trials_of(batch)]
        entries += new
        summary = fold(summary, new)


def likeness(subnet: Teacher) -> float:
    """How much a subnet is like one in the middle of the space."""
    depths = sum(abs(a - b) for a, b in zip(subnet.depths, (2, 3, 12, 3), strict=True))
    widths = sum(abs(float(w) - 1.25) for w in subnet.widths)
    return 1 / (1 + depths / 4 + widths)


def drawn(subnets: Sequence[LedgerEntry]) -> list[Teacher]:
    return [one.proposal.teacher for one in subnets]


def test_every_subnet_is_evaluated_once_and_numbered_in_order() -> None:
    entries, end = searched(settings(330), likeness)
    assert end.reason is EndReason.TRIALS
    assert [one.index for one in entries] == list(range(330))
    assert len(set(drawn(entries))) == 330
    assert all(SPACE.contains(subnet) for subnet in drawn(entries))


def test_first_subnet_is_the_one_that_equals_the_base() -> None:
    shape, random = SupernetShape(), Random(0)
    for _ in range(20):
        subnet = SPACE.sample(random)
        detector = BASE.detector.model_copy(update={"neck": shape.neck_width(subnet)})
        base = replace(
            POOLED, architecture=shape.architecture(subnet), detector=detector, supernet=shape
        )
        batch = propose_subnets(settings(30), SPACE, base, Summary(top_k=50), ())
        assert isinstance(batch, SubnetBatch)
        assert batch.subnets[0] == subnet
        assert len(set(batch.subnets)) == 25
    wider = replace(base, detector=detector.model_copy(update={"neck": 257}))
    batch = propose_subnets(settings(1), SPACE, wider, Summary(top_k=50), ())
    assert isinstance(batch, SubnetBatch)
    assert len(batch.subnets) == 1
    assert batch.subnets[0] != subnet


def test_no_job_evaluates_subnets_of_two_slots() -> None:
    entries, _ = searched(settings(110), likeness)
    more = propose_subnets(settings(500), SPACE, POOLED, fold(Summary(top_k=50), entries), ())
    assert isinstance(more, SubnetBatch)
    assert (more.first, len(more.subnets)) == (110, 15), "continues the slot that had begun"
    assert more.first + len(more.subnets) == slot_of(more.first).stop


def test_evolution_finds_better_subnets_than_random_draws() -> None:
    entries, _ = searched(settings(1000), likeness)
    random = Random(1)
    best_drawn = max(likeness(SPACE.sample(random)) for _ in range(1000))
    hundreds = [max(one.h or 0.0 for one in entries[n : n + 100]) for n in range(0, 1000, 100)]
    assert max(hundreds) > best_drawn
    assert sum(b >= a for a, b in pairwise(hundreds)) >= 6


def test_first_subnets_do_not_depend_on_scores_and_later_ones_do() -> None:
    one, _ = searched(settings(150), likeness)
    other, _ = searched(settings(150), lambda subnet: 1 - likeness(subnet))
    assert drawn(one[:SUBNET_PARENTS]) == drawn(other[:SUBNET_PARENTS])
    assert drawn(one[SUBNET_PARENTS:]) != drawn(other[SUBNET_PARENTS:])


def test_evolved_subnets_consist_of_their_parents_slots_but_for_mutations() -> None:
    entries, _ = searched(settings(75), likeness)
    parents = drawn(entries[:50])
    for subnet in drawn(entries[50:]):
        slots = (*subnet.depths, *subnet.widths)
        theirs = [(*parent.depths, *parent.widths) for parent in parents]
        assert max(sum(map(eq, slots, others)) for others in theirs) >= 5


def test_search_ends_when_every_subnet_of_a_small_pool_is_evaluated() -> None:
    entries, end = searched(settings(1000), likeness, SMALL_SPACE)
    assert end.reason is EndReason.SUBNETS
    assert end.message == "the pool has no more than 16 subnets"
    assert set(drawn(entries)) == set(SMALL_SPACE.subnets())
    assert len(entries) == SMALL_SPACE.count() == 16


def test_lost_subnets_are_evaluated_again_and_count_for_nothing() -> None:
    lost = {subnet for number, subnet in enumerate(SMALL_SPACE.subnets()) if number % 3 == 0}

    def once_lost(subnet: Teacher) -> float | None:
        if subnet in lost:
            lost.remove(subnet)
            return None
        return likeness(subnet)

    entries, _ = searched(settings(1000), once_lost, SMALL_SPACE)
    succeeded = [one for one in entries if one.succeeded]
    assert len(entries) == 16 + 6
    assert set(drawn(succeeded)) == set(SMALL_SPACE.subnets())


@pytest.mark.parametrize("seed", [0, 1])
def test_jobs_in_flight_are_neither_repeated_nor_waited_for(seed: int) -> None:
    search, in_flight = settings(100, seed), list[Proposal]()
    for _ in range(4):
        batch = propose_subnets(search, SPACE, POOLED, Summary(top_k=50), in_flight)
        assert isinstance(batch, SubnetBatch)
        in_flight += trials_of(batch)
    assert [trial.index for trial in in_flight] == list(range(100))
    assert len({trial.teacher for trial in in_flight}) == 100
    end = propose_subnets(search, SPACE, POOLED, Summary(top_k=50), in_flight)
    assert isinstance(end, SearchEnd)
