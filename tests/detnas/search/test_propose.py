"""Hill climbing: what is proposed, when it ends, and that it can be replayed."""

import os
import subprocess
import sys
import timeit
from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detnas.actions import PROTECTED_STEPS, ActionKind, AddLayer, LayerPruning, legal_actions
from detnas.architecture import Place
from detnas.records.proposal import Proposal, Step
from detnas.records.results import Outcome
from detnas.search import Convergence, Finished, LedgerEntry, Summary, ledger_entry, propose
from detnas.search.summary import fingerprint
from detnas.spec.search import Search
from detnas.teachers import TeacherSpace
from tests.detnas.trials import (
    ARCHITECTURE,
    BASE,
    SPACE,
    Simulation,
    always_succeeds,
    failed,
    folded,
    proposal,
    result,
    searched,
    succeeded,
)

MANY = Search(trials=1_000_000, warmup_trials=0, patience=1_000_000)
NARROW = TeacherSpace.model_validate(
    {"min_depths": [1, 1, 1, 1], "max_depths": [2, 1, 1, 1], "widths": ["1.0"]}
)
"""A space of two teachers, each the other's only mutation."""


def _next(
    summary: Summary,
    in_flight: Iterable[Proposal] = (),
    search: Search = MANY,
    space: TeacherSpace = SPACE,
) -> Proposal:
    found = propose(search, space, BASE, summary, list(in_flight))
    assert isinstance(found, Proposal)
    return found


def _draws(summary: Summary, count: int, search: Search = MANY) -> list[Proposal]:
    """What would be proposed from one summary by many seeds."""
    return [
        _next(summary, search=search.model_copy(update={"seed": seed})) for seed in range(count)
    ]


def _chi_square(found: Counter, expected: dict) -> float:
    """Pearson's statistic; `expected` are probabilities."""
    total = sum(found.values())
    assert set(found) <= set(expected)
    return sum((found[key] - total * p) ** 2 / (total * p) for key, p in expected.items())


def _baseline_done() -> Summary:
    return folded([succeeded(proposal(0, step=Step.BASELINE), 0.5)])


def _top_five() -> Summary:
    """Five candidates; trial 4 is the best, trial 0 the last."""
    return folded([succeeded(proposal(index), 0.1 + index / 10) for index in range(5)])


# The start


def test_a_pair_that_ends_before_the_baseline_is_no_parent_yet() -> None:
    search = MANY.model_copy(update={"student_probability": Decimal(1)})
    quick = folded([succeeded(proposal(1), 0.5)])
    found = _next(quick, [proposal(0, step=Step.BASELINE)], search)
    assert (found.index, found.parent, found.step) == (2, None, Step.TEACHER)


def test_the_first_trial_is_the_base_with_the_supernet() -> None:
    first = _next(Summary(5))
    assert (first.index, first.parent, first.step, first.action) == (0, None, Step.BASELINE, None)
    assert first.teacher == SPACE.largest


@pytest.mark.parametrize("warmup", [0, 5])
def test_until_it_ends_other_slots_train_the_base_under_mutated_teachers(warmup: int) -> None:
    search = MANY.model_copy(update={"warmup_trials": warmup})
    in_flight = [_next(Summary(5), search=search)]
    for index in range(1, 9):
        found = _next(Summary(5), in_flight, search)
        assert (found.index, found.parent, found.step) == (index, None, Step.TEACHER)
        assert found.teacher in {t for slot in SPACE.mutations(SPACE.largest) for t in slot}
        in_flight.append(found)


@given(st.integers(0, 2**31), st.integers(1, 8), st.integers(0, 8))
@settings(max_examples=30)
def test_the_warm_up_only_mutates_teachers(seed: int, parallelism: int, warmup: int) -> None:
    search = searched(
        warmup + 6, parallelism, seed=seed, warmup_trials=warmup, student_probability=Decimal(1)
    )
    steps = [p.step for p in search.proposals]
    assert steps[0] is Step.BASELINE
    assert Step.STUDENT not in steps[: warmup + 1]


def test_after_the_warm_up_students_evolve() -> None:
    search = MANY.model_copy(update={"warmup_trials": 2, "student_probability": Decimal(1)})
    entries = [succeeded(proposal(index), 0.5) for index in range(3)]
    assert _next(folded(entries[:2]), search=search).step is Step.TEACHER
    assert _next(folded(entries), search=search).step is Step.STUDENT


def test_a_baseline_lost_to_infrastructure_is_tried_again() -> None:
    lost = failed(proposal(0, step=Step.BASELINE), Outcome.INFRASTRUCTURE)
    again = _next(folded([lost]))
    assert (again.index, again.step) == (1, Step.BASELINE)
    assert _next(folded([lost]), [again]).step is Step.TEACHER


def test_a_baseline_that_can_not_work_gives_way_to_other_pairs() -> None:
    heavy = failed(proposal(0, step=Step.BASELINE), Outcome.OUT_OF_MEMORY)
    found = _next(folded([heavy]))
    assert found.step is not Step.BASELINE
    assert found.parent is None


# The step


def test_a_teacher_step_takes_the_parents_teacher_one_mutation_on() -> None:
    parent = succeeded(proposal(0, teacher=SPACE.smallest), 0.5)
    search = MANY.model_copy(update={"student_probability": Decimal(0)})
    neighbours = {t for slot in SPACE.mutations(SPACE.smallest) for t in slot}
    for found in _draws(folded([parent]), 50, search):
        assert (found.parent, found.step, found.action) == (0, Step.TEACHER, None)
        assert found.teacher in neighbours


def test_a_student_step_keeps_the_parents_teacher_and_takes_a_legal_action() -> None:
    parent = succeeded(proposal(0, teacher=SPACE.smallest), 0.5)
    search = MANY.model_copy(update={"student_probability": Decimal(1)})
    kinds = legal_actions(ARCHITECTURE, (), search.actions)
    legal = {action for actions in kinds.values() for action in actions}
    found = _draws(folded([parent]), 300, search)
    assert {one.teacher for one in found} == {SPACE.smallest}
    assert {one.action for one in found} == legal
    assert {(one.parent, one.step) for one in found} == {(0, Step.STUDENT)}


def test_blocks_added_of_late_are_protected_in_the_proposed_pruning() -> None:
    fresh = Place(1, 1)
    entry = ledger_entry(
        proposal(0),
        result(0, added=({"place": fresh, "age": PROTECTED_STEPS - 1},)),  # type: ignore[arg-type]
        BASE,
    )
    actions = [one.action for one in _draws(folded([entry]), 200)]
    prunings = [action for action in actions if isinstance(action, LayerPruning)]
    assert prunings
    assert {pruning.protected for pruning in prunings} == {(fresh,)}


@pytest.mark.parametrize(
    ("top_k", "weights"), [(5, (5, 4, 3, 2, 1)), (2, (2, 1)), (9, (5, 4, 3, 2, 1))]
)
def test_parents_are_drawn_by_rank(top_k: int, weights: tuple[int, ...]) -> None:
    entries = [succeeded(proposal(index), 0.1 + index / 10) for index in range(5)]
    found = Counter(one.parent for one in _draws(folded(entries, top_k), 3000))
    expected = {4 - rank: weight / sum(weights) for rank, weight in enumerate(weights)}
    # 99.9 % of chi-square with four degrees of freedom.
    assert _chi_square(found, expected) < 18.5


def test_student_and_teacher_steps_are_even_and_kinds_then_places_uniform() -> None:
    found = _draws(_baseline_done(), 6000)
    steps = Counter(one.step for one in found)
    assert _chi_square(steps, {Step.STUDENT: 0.5, Step.TEACHER: 0.5}) < 10.8
    actions = [one.action for one in found if one.action is not None]
    kinds = Counter(action.kind for action in actions)
    assert _chi_square(kinds, dict.fromkeys(ActionKind, 0.25)) < 16.3
    stages = Counter(action.stage for action in actions if isinstance(action, AddLayer))
    assert _chi_square(stages, dict.fromkeys(range(4), 0.25)) < 16.3


def test_the_chance_of_a_student_step_is_an_option() -> None:
    search = MANY.model_copy(update={"student_probability": Decimal("0.8")})
    steps = Counter(one.step for one in _draws(_baseline_done(), 3000, search))
    assert _chi_square(steps, {Step.STUDENT: 0.8, Step.TEACHER: 0.2}) < 10.8


# Repetition


def test_nothing_is_proposed_twice_while_something_else_is_left() -> None:
    # Students are so rarely drawn that redrawing alone would not find every action.
    search = MANY.model_copy(update={"top_k": 1, "student_probability": Decimal("0.001")})
    baseline = proposal(0, step=Step.BASELINE, teacher=NARROW.largest)
    summary = folded([succeeded(baseline, 0.5)])
    kinds = legal_actions(ARCHITECTURE, (), search.actions)
    neighbours = sum(map(len, kinds.values())) + 1
    in_flight: list[Proposal] = []
    for _ in range(neighbours):
        in_flight.append(_next(summary, in_flight, search, NARROW))
    assert len({fingerprint(one) for one in in_flight}) == neighbours
    again = _next(summary, in_flight, search, NARROW)
    assert fingerprint(again) in {fingerprint(one) for one in in_flight}


def test_what_was_evaluated_is_not_proposed_again_but_for_lost_ones() -> None:
    search = MANY.model_copy(update={"student_probability": Decimal(0)})
    baseline = succeeded(proposal(0, step=Step.BASELINE, teacher=NARROW.largest), 0.5)
    only = _next(folded([baseline]), search=search, space=NARROW)
    either = MANY.model_copy(update={"student_probability": Decimal("0.5")})
    for outcome, may_return in ((Outcome.DIVERGED, False), (Outcome.INFRASTRUCTURE, True)):
        summary = folded([baseline, failed(only, outcome)])
        found = [
            _next(summary, search=either.model_copy(update={"seed": seed}), space=NARROW)
            for seed in range(40)
        ]
        assert any(fingerprint(one) == fingerprint(only) for one in found) == may_return


@given(st.integers(0, 2**31), st.integers(1, 8), st.integers(0, 2**31))
@settings(max_examples=20)
def test_whole_searches_repeat_nothing_and_number_without_gaps(
    seed: int, parallelism: int, order: int
) -> None:
    search = searched(40, parallelism, order, seed=seed)
    outcomes = [entry.outcome for entry in search.entries.values()]
    assert len(outcomes) - outcomes.count(Outcome.INFRASTRUCTURE) == 40
    assert [one.index for one in search.proposals] == list(range(len(outcomes)))
    tried = [
        (one.parent, fingerprint(one))
        for one in search.proposals
        if search.entries[one.index].outcome is not Outcome.INFRASTRUCTURE
    ]
    assert len(set(tried)) == len(tried)
    for one in search.proposals:
        assert one.parent is None or search.entries[one.parent].succeeded


# Replay


def test_one_slot_gives_the_same_search_every_time() -> None:
    assert searched(60).proposals == searched(60).proposals
    assert searched(60, seed=1).proposals != searched(60).proposals


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(0, 29))
@settings(max_examples=20)
def test_a_restart_proposes_what_the_live_process_would_have(
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
    restarted = folded(in_order)
    arguments = (live.settings, SPACE, BASE)
    assert propose(*arguments, restarted, sorted(live.in_flight, key=lambda p: p.index)) == propose(
        *arguments, live.summary, live.in_flight
    )


def test_the_seed_of_a_job_follows_from_seed_and_number() -> None:
    proposals = searched(50).proposals
    seeds = {one.seed for one in proposals}
    assert len(seeds) == len(proposals) >= 50
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert searched(3, seed=1).proposals[2].seed not in seeds


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_draws_do_not_depend_on_the_process(hash_seed: str) -> None:
    program = (
        "from tests.detnas.trials import searched\n"
        "for one in searched(12, parallelism=2, seed=7).proposals: print(one.model_dump_json())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    here = searched(12, parallelism=2, seed=7).proposals
    assert told.stdout.splitlines() == [one.model_dump_json() for one in here]


# The end


def test_a_search_ends_when_its_trials_are_decided() -> None:
    search = searched(12, parallelism=3)
    lost = sum(e.outcome is Outcome.INFRASTRUCTURE for e in search.entries.values())
    assert len(search.proposals) == len(search.entries) == 12 + lost
    assert search.finished is not None
    assert search.finished.reason is Convergence.TRIALS
    assert "12 trials" in search.finished.message


def test_trials_in_flight_count_as_decided() -> None:
    search = Search(trials=2)
    in_flight = [proposal(0, step=Step.BASELINE), proposal(1)]
    found = propose(search, SPACE, BASE, Summary(5), in_flight)
    assert isinstance(found, Finished)
    assert found.reason is Convergence.TRIALS


def test_trials_lost_to_infrastructure_do_not_use_up_the_search() -> None:
    search = Search(trials=2)
    lost = [failed(proposal(index), Outcome.INFRASTRUCTURE) for index in range(5)]
    assert isinstance(propose(search, SPACE, BASE, folded(lost), []), Proposal)
    ended = [succeeded(proposal(5), 0.3), failed(proposal(6), Outcome.DIVERGED)]
    assert isinstance(propose(search, SPACE, BASE, folded([*lost, *ended]), []), Finished)


def test_a_search_ends_when_nothing_got_better_for_long() -> None:
    search = Search(trials=100, patience=3)
    entries: list[LedgerEntry] = [succeeded(proposal(0), 0.3), succeeded(proposal(1), 0.5)]
    entries += [succeeded(proposal(2), 0.4), failed(proposal(3), Outcome.DIVERGED)]
    assert isinstance(propose(search, SPACE, BASE, folded(entries), []), Proposal)
    entries.append(succeeded(proposal(4), 0.5))
    found = propose(search, SPACE, BASE, folded(entries), [])
    assert isinstance(found, Finished)
    assert found.reason is Convergence.PATIENCE
    assert "3 finished trials" in found.message


def test_trials_lost_to_infrastructure_do_not_use_up_patience() -> None:
    search = Search(trials=100, patience=3)
    entries: list[LedgerEntry] = [succeeded(proposal(0), 0.5)]
    entries += [failed(proposal(index), Outcome.INFRASTRUCTURE) for index in range(1, 8)]
    entries += [succeeded(proposal(8), 0.4), succeeded(proposal(9), 0.4)]
    assert isinstance(propose(search, SPACE, BASE, folded(entries), []), Proposal)
    entries.append(failed(proposal(10), Outcome.DIVERGED))
    assert isinstance(propose(search, SPACE, BASE, folded(entries), []), Finished)


def test_a_late_better_score_takes_the_search_up_again() -> None:
    search = Search(trials=100, patience=2)
    entries = [succeeded(proposal(index), 0.5) for index in (0, 1, 2)]
    assert isinstance(propose(search, SPACE, BASE, folded(entries), [proposal(3)]), Finished)
    entries.append(succeeded(proposal(3), 0.6))
    assert isinstance(propose(search, SPACE, BASE, folded(entries), []), Proposal)


# The time


@pytest.mark.serial
def test_a_proposal_is_quick_after_ten_thousand_trials() -> None:
    summary = _long_search(10_000)
    assert summary.finished == 10_000
    assert _seconds(lambda: _next(summary)) < 0.05


def _long_search(trials: int) -> Summary:
    template = succeeded(proposal(0), 0.4)
    random = Random(0)
    return folded(
        [
            template.model_copy(
                update={"proposal": proposal(i, max(0, i - 20), teacher=SPACE.sample(random))}
            )
            for i in range(trials)
        ]
    )


def _seconds(call: Callable[[], object]) -> float:
    return min(timeit.repeat(call, number=5, repeat=5)) / 5
