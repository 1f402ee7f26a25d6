"""Hill climbing: what is proposed at the start, and how parent, step and action are drawn."""

import timeit
from collections import Counter
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detnas.actions import PROTECTED_STEPS, ActionKind, AddLayer, LayerPruning, legal_actions
from detnas.architecture import Place
from detnas.ledger import Summary, ledger_entry
from detnas.ledger.summary import needed
from detnas.records.proposal import Proposal, Step
from detnas.records.results import Outcome
from detnas.spec.search import MAX_RANDOM_PARENTS, Search, Strategy
from tests.detnas.search.proposing import MANY, next_proposal
from tests.detnas.trials import (
    ARCHITECTURE,
    BASE,
    SPACE,
    failed,
    proposal,
    result,
    searched,
    succeeded,
    summary_of,
)


def draws(summary: Summary, count: int, search: Search = MANY) -> list[Proposal]:
    """What would be proposed from one summary by many seeds."""
    return [
        next_proposal(summary, search=search.model_copy(update={"seed": seed}))
        for seed in range(count)
    ]


def chi_square(found: Counter, expected: dict) -> float:
    """Pearson's statistic; `expected` are probabilities."""
    total = sum(found.values())
    assert set(found) <= set(expected)
    return sum((found[key] - total * p) ** 2 / (total * p) for key, p in expected.items())


def baseline_done() -> Summary:
    return summary_of([succeeded(proposal(0, step=Step.BASELINE), 0.5)])


def test_propose_takes_no_parent_before_the_baseline_finished() -> None:
    search = MANY.model_copy(update={"student_probability": Decimal(1)})
    quick = summary_of([succeeded(proposal(1), 0.5)])
    found = next_proposal(quick, [proposal(0, step=Step.BASELINE)], search)
    assert (found.index, found.parent, found.step) == (2, None, Step.TEACHER)


def test_propose_returns_the_baseline_first() -> None:
    first = next_proposal(Summary(top_k=5))
    assert (first.index, first.parent, first.step, first.action) == (0, None, Step.BASELINE, None)
    assert first.teacher == SPACE.largest


@pytest.mark.parametrize("warmup", [0, 5])
def test_propose_mutates_teachers_of_the_base_while_the_baseline_is_in_flight(warmup: int) -> None:
    search = MANY.model_copy(update={"warmup_trials": warmup})
    in_flight = [next_proposal(Summary(top_k=5), search=search)]
    for index in range(1, 9):
        found = next_proposal(Summary(top_k=5), in_flight, search)
        assert (found.index, found.parent, found.step) == (index, None, Step.TEACHER)
        assert found.teacher in {t for slot in SPACE.mutations(SPACE.largest) for t in slot}
        in_flight.append(found)


@given(st.integers(0, 2**31), st.integers(1, 8), st.integers(0, 8))
@settings(max_examples=30)
def test_warm_up_only_mutates_teachers(seed: int, parallelism: int, warmup: int) -> None:
    search = searched(
        warmup + 6, parallelism, seed=seed, warmup_trials=warmup, student_probability=Decimal(1)
    )
    steps = [p.step for p in search.proposals]
    assert steps[0] is Step.BASELINE
    assert Step.STUDENT not in steps[: warmup + 1]


def test_propose_evolves_students_after_the_warm_up() -> None:
    search = MANY.model_copy(update={"warmup_trials": 2, "student_probability": Decimal(1)})
    entries = [succeeded(proposal(index), 0.5) for index in range(3)]
    assert next_proposal(summary_of(entries[:2]), search=search).step is Step.TEACHER
    assert next_proposal(summary_of(entries), search=search).step is Step.STUDENT


def test_propose_repeats_a_baseline_lost_to_infrastructure() -> None:
    lost = failed(proposal(0, step=Step.BASELINE), Outcome.INFRASTRUCTURE)
    again = next_proposal(summary_of([lost]))
    assert (again.index, again.step) == (1, Step.BASELINE)
    assert next_proposal(summary_of([lost]), [again]).step is Step.TEACHER


def test_propose_continues_from_the_base_after_a_failed_baseline() -> None:
    heavy = failed(proposal(0, step=Step.BASELINE), Outcome.OUT_OF_MEMORY)
    found = next_proposal(summary_of([heavy]))
    assert found.step is not Step.BASELINE
    assert found.parent is None


def test_teacher_step_mutates_the_parents_teacher_once() -> None:
    parent = succeeded(proposal(0, teacher=SPACE.smallest), 0.5)
    search = MANY.model_copy(update={"student_probability": Decimal(0)})
    neighbours = {t for slot in SPACE.mutations(SPACE.smallest) for t in slot}
    for found in draws(summary_of([parent]), 50, search):
        assert (found.parent, found.step, found.action) == (0, Step.TEACHER, None)
        assert found.teacher in neighbours


def test_student_step_keeps_the_teacher_and_takes_any_legal_action() -> None:
    parent = succeeded(proposal(0, teacher=SPACE.smallest), 0.5)
    search = MANY.model_copy(update={"student_probability": Decimal(1)})
    kinds = legal_actions(ARCHITECTURE, (), search.actions)
    legal = {action for actions in kinds.values() for action in actions}
    found = draws(summary_of([parent]), 300, search)
    assert {one.teacher for one in found} == {SPACE.smallest}
    assert {one.action for one in found} == legal
    assert {(one.parent, one.step) for one in found} == {(0, Step.STUDENT)}


def test_proposed_pruning_protects_recently_added_blocks() -> None:
    fresh = Place(1, 1)
    entry = ledger_entry(
        proposal(0),
        result(0, added=({"place": fresh, "age": PROTECTED_STEPS - 1},)),  # type: ignore[arg-type]
        BASE,
    )
    actions = [one.action for one in draws(summary_of([entry]), 200)]
    prunings = [action for action in actions if isinstance(action, LayerPruning)]
    assert prunings
    assert {pruning.protected for pruning in prunings} == {(fresh,)}


@pytest.mark.parametrize(
    ("top_k", "weights"), [(5, (5, 4, 3, 2, 1)), (2, (2, 1)), (9, (5, 4, 3, 2, 1))]
)
def test_propose_draws_parents_by_rank(top_k: int, weights: tuple[int, ...]) -> None:
    entries = [succeeded(proposal(index), 0.1 + index / 10) for index in range(5)]
    found = Counter(one.parent for one in draws(summary_of(entries, top_k), 3000))
    expected = {4 - rank: weight / sum(weights) for rank, weight in enumerate(weights)}
    # 99.9 % of chi-square with four degrees of freedom.
    assert chi_square(found, expected) < 18.5


RANDOM = MANY.model_copy(update={"strategy": Strategy.RANDOM, "top_k": 2})


def test_random_search_draws_parents_uniformly_from_all_pairs() -> None:
    entries = [succeeded(proposal(index), 0.1 + index / 10) for index in range(6)]
    entries.append(failed(proposal(6), Outcome.DIVERGED))
    found = Counter(
        one.parent for one in draws(summary_of(entries, RANDOM.max_parents), 3000, RANDOM)
    )
    # 99.9 % of chi-square with five degrees of freedom.
    assert chi_square(found, dict.fromkeys(range(6), 1 / 6)) < 20.5


def test_random_search_takes_the_steps_of_hill_climbing_from_the_same_pair() -> None:
    from_one_pair = baseline_done()
    steps = Counter(one.step for one in draws(from_one_pair, 3000, RANDOM))
    assert chi_square(steps, {Step.STUDENT: 0.5, Step.TEACHER: 0.5}) < 10.8
    warming_up = RANDOM.model_copy(update={"warmup_trials": 5, "student_probability": Decimal(1)})
    assert next_proposal(from_one_pair, search=warming_up).step is Step.TEACHER


@given(st.integers(0, 2**31), st.integers(1, 8))
@settings(max_examples=15)
def test_random_search_continues_from_any_finished_trial(seed: int, parallelism: int) -> None:
    search = searched(30, parallelism, seed=seed, strategy="Random", top_k=1, patience=1)
    lost = sum(entry.outcome is Outcome.INFRASTRUCTURE for entry in search.entries.values())
    assert len(search.entries) == 30 + lost
    assert len({one.parent for one in search.proposals}) > 5


def test_random_search_retains_the_weights_of_every_student() -> None:
    entries = [succeeded(proposal(index), 0.9 - index / 100) for index in range(20)]
    assert needed(summary_of(entries, RANDOM.max_parents), ()) == set(range(20))
    assert RANDOM.max_parents == MAX_RANDOM_PARENTS


@given(st.integers(0, 2**31), st.integers(1, 6))
@settings(max_examples=15)
def test_pipeline_evolves_only_students_after_the_baseline(seed: int, parallelism: int) -> None:
    search = searched(12, parallelism, seed=seed, strategy="Pipeline")
    first, *others = search.proposals
    assert first.step is Step.BASELINE
    assert {one.step for one in others} <= {Step.STUDENT, Step.BASELINE}
    assert {one.teacher for one in search.proposals} == {SPACE.largest}


def test_pipeline_draws_parents_by_rank() -> None:
    entries = [succeeded(proposal(index), 0.1 + index / 10) for index in range(2)]
    search = MANY.model_copy(update={"strategy": Strategy.PIPELINE})
    found = Counter(one.parent for one in draws(summary_of(entries), 2000, search))
    assert chi_square(found, {1: 2 / 3, 0: 1 / 3}) < 10.8


def test_propose_draws_steps_evenly_and_kinds_then_places_uniformly() -> None:
    found = draws(baseline_done(), 6000)
    steps = Counter(one.step for one in found)
    assert chi_square(steps, {Step.STUDENT: 0.5, Step.TEACHER: 0.5}) < 10.8
    actions = [one.action for one in found if one.action is not None]
    kinds = Counter(action.kind for action in actions)
    assert chi_square(kinds, dict.fromkeys(ActionKind, 0.25)) < 16.3
    stages = Counter(action.stage for action in actions if isinstance(action, AddLayer))
    assert chi_square(stages, dict.fromkeys(range(4), 0.25)) < 16.3


def test_propose_draws_student_steps_with_their_probability() -> None:
    search = MANY.model_copy(update={"student_probability": Decimal("0.8")})
    steps = Counter(one.step for one in draws(baseline_done(), 3000, search))
    assert chi_square(steps, {Step.STUDENT: 0.8, Step.TEACHER: 0.2}) < 10.8


@pytest.mark.serial
def test_propose_is_quick_after_ten_thousand_trials() -> None:
    template, random = succeeded(proposal(0), 0.4), Random(0)
    trials = (proposal(i, max(0, i - 20), teacher=SPACE.sample(random)) for i in range(9_999))
    summary = summary_of([template.model_copy(update={"proposal": trial}) for trial in trials])
    assert summary.finished_count == 9_999
    seconds = min(timeit.repeat(lambda: next_proposal(summary), number=5, repeat=5)) / 5
    assert seconds < 0.05
