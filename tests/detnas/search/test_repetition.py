"""Proposals repeat only lost trials, and are reproducible."""

import os
import subprocess
import sys
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detnas.actions import legal_actions
from detnas.ledger.summary import tried
from detnas.records.proposal import Proposal, Step
from detnas.records.results import Outcome
from detnas.search import propose
from detnas.spec.search import Search
from detnas.teachers import TeacherSpace
from tests.detnas.search.proposing import MANY, next_proposal
from tests.detnas.trials import (
    ARCHITECTURE,
    BASE,
    SPACE,
    Simulation,
    always_succeeds,
    failed,
    proposal,
    searched,
    succeeded,
    summary_of,
)

NARROW = TeacherSpace.model_validate(
    {"min_depths": [1, 1, 1, 1], "max_depths": [2, 1, 1, 1], "widths": ["1.0"]}
)
"""A space of two teachers, each the other's only mutation."""


def test_propose_repeats_nothing_while_an_untried_neighbour_is_left() -> None:
    # Students are so rarely drawn that redrawing alone would not find every action.
    search = MANY.model_copy(update={"top_k": 1, "student_probability": Decimal("0.001")})
    baseline = proposal(0, step=Step.BASELINE, teacher=NARROW.largest)
    summary = summary_of([succeeded(baseline, 0.5)])
    kinds = legal_actions(ARCHITECTURE, (), search.actions)
    neighbours = sum(map(len, kinds.values())) + 1
    in_flight: list[Proposal] = []
    for _ in range(neighbours):
        in_flight.append(next_proposal(summary, in_flight, search, NARROW))
    assert len({tried(one) for one in in_flight}) == neighbours
    again = next_proposal(summary, in_flight, search, NARROW)
    assert tried(again) in {tried(one) for one in in_flight}


def test_propose_repeats_a_lost_trial_but_no_evaluated_one() -> None:
    search = MANY.model_copy(update={"student_probability": Decimal(0)})
    baseline = succeeded(proposal(0, step=Step.BASELINE, teacher=NARROW.largest), 0.5)
    only = next_proposal(summary_of([baseline]), search=search, space=NARROW)
    either = MANY.model_copy(update={"student_probability": Decimal("0.5")})
    for outcome, may_return in ((Outcome.DIVERGED, False), (Outcome.INFRASTRUCTURE, True)):
        summary = summary_of([baseline, failed(only, outcome)])
        found = [
            next_proposal(summary, search=either.model_copy(update={"seed": seed}), space=NARROW)
            for seed in range(40)
        ]
        assert any(tried(one) == tried(only) for one in found) == may_return


@given(st.integers(0, 2**31), st.integers(1, 8), st.integers(0, 2**31))
@settings(max_examples=20)
def test_a_search_repeats_no_trial_and_numbers_without_gaps(
    seed: int, parallelism: int, order: int
) -> None:
    search = searched(40, parallelism, order, seed=seed)
    outcomes = [entry.outcome for entry in search.entries.values()]
    assert len(outcomes) - outcomes.count(Outcome.INFRASTRUCTURE) == 40
    assert [one.index for one in search.proposals] == list(range(len(outcomes)))
    evaluated = [
        tried(one)
        for one in search.proposals
        if search.entries[one.index].outcome is not Outcome.INFRASTRUCTURE
    ]
    assert len(set(evaluated)) == len(evaluated)
    for one in search.proposals:
        assert one.parent is None or search.entries[one.parent].succeeded


def test_a_search_without_parallelism_is_reproducible() -> None:
    assert searched(60).proposals == searched(60).proposals
    assert searched(60, seed=1).proposals != searched(60).proposals


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(0, 29))
@settings(max_examples=20)
def test_propose_after_a_restart_equals_that_of_the_live_process(
    order: int, parallelism: int, stop: int
) -> None:
    live = Simulation(
        Search(trials=30, parallelism=parallelism, patience=1_000_000), outcome=always_succeeds
    )
    random = Random(order)
    for _ in range(stop):
        live.fill()
        live.end(random.choice(live.in_flight))
    in_order = sorted(live.entries.values(), key=lambda entry: entry.index)
    restarted = summary_of(in_order)
    arguments = (live.settings, SPACE, BASE)
    assert propose(*arguments, restarted, sorted(live.in_flight, key=lambda p: p.index)) == propose(
        *arguments, live.summary, live.in_flight
    )


def test_job_seeds_follow_from_seed_and_number() -> None:
    proposals = searched(50).proposals
    seeds = {one.seed for one in proposals}
    assert len(seeds) == len(proposals) >= 50
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert searched(3, seed=1).proposals[2].seed not in seeds


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_proposals_do_not_depend_on_the_hash_seed(hash_seed: str) -> None:
    program = (
        "from tests.detnas.trials import searched\n"
        "for one in searched(12, parallelism=2, seed=7).proposals: print(one.model_dump_json())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", program]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    here = searched(12, parallelism=2, seed=7).proposals
    assert output.stdout.splitlines() == [one.model_dump_json() for one in here]
