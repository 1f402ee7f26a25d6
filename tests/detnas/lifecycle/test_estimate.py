"""The remaining time, from the latest trials and the running jobs' own estimates."""

import time
from dataclasses import replace
from heapq import heapify, heapreplace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detnas.ledger import History
from detnas.ledger.history import write_segments
from detnas.ledger.segments import UnsegmentedEntries
from detnas.lifecycle.estimate import search_seconds_left, until_last_trial
from detnas.lifecycle.reading.state import SearchState
from detnas.records.progress import Progress
from detnas.records.results import Outcome
from detnas.search import EndReason, SearchEnd
from tests.detnas.memory_store import MemoryStore
from tests.detnas.searches.results import manifest
from tests.detnas.trials import BASE, START, failed, proposal, succeeded, summary_of

SPEC = manifest(search={"trials": 10, "parallelism": 2}).spec


def progress(seconds_left: float | None) -> Progress:
    return Progress(activity="training", seconds_left=seconds_left, updated=START)


def searching(*seconds: float) -> SearchState:
    entries = {
        number: succeeded(proposal(number), 0.3, 0.4).model_copy(update={"seconds": took})
        for number, took in enumerate(seconds)
    }
    unsegmented = UnsegmentedEntries.of(entries.values())
    running = tuple(proposal(len(seconds) + slot) for slot in range(2))
    history = History(
        summary_of(list(entries.values())), in_flight=running, unsegmented=unsegmented
    )
    return SearchState(scorer=BASE, history=write_segments(MemoryStore(), "", history))


def test_seconds_left_of_waiting_trials_follow_the_running_ones() -> None:
    # 10 trials, 3 ended, 2 run: of 5 that wait, 40 s each, two or three follow each that runs.
    state = searching(30, 40, 50)
    left = search_seconds_left(state, SPEC, [progress(12.0), progress(25.0)])
    assert left == pytest.approx(12 + 3 * 40)


def test_seconds_left_of_a_trial_without_estimate_are_the_others_median() -> None:
    state = searching(30, 40, 50)
    assert search_seconds_left(state, SPEC, [None, progress(None)]) == pytest.approx(40 + 3 * 40)


def test_seconds_left_of_one_waiting_trial_include_its_full_duration() -> None:
    spec = manifest(search={"trials": 6, "parallelism": 8}).spec
    assert search_seconds_left(searching(30, 40, 50), spec, [progress(1.0), progress(9.0)]) == 40
    spec = manifest(search={"trials": 6, "parallelism": 2}).spec
    assert search_seconds_left(searching(30, 40, 50), spec, [progress(1.0), progress(9.0)]) == 41


def test_seconds_left_of_the_last_running_trials_are_their_own_estimate() -> None:
    spec = manifest(search={"trials": 3, "parallelism": 2}).spec
    assert search_seconds_left(searching(30), spec, [progress(12.0), progress(25.0)]) == 25
    assert search_seconds_left(searching(30), spec, [progress(12.0), progress(None)]) is None


def test_seconds_left_expect_no_more_trials_than_the_pool_has_subnets() -> None:
    two = {"depths": {"min": [1, 1, 1, 1], "max": [1, 1, 1, 2]}, "widths": ["1.0"]}
    pool = {**two, "phases": [{"epochs": 1, "learningRate": "0.1"}]}
    spec = manifest(search={"trials": 100, "strategy": "TeacherPool"}, teachers=pool).spec
    assert spec.proposed_space.count() == 2
    assert search_seconds_left(searching(30, 40, 50), spec, [progress(3.0), progress(9.0)]) == 9


def test_seconds_left_count_segmented_trials() -> None:
    spec = manifest(search={"trials": 200, "parallelism": 2}).spec
    state = searching(*[500.0] * 50, *[10.0] * 50)
    assert not state.history.unsegmented
    assert search_seconds_left(state, spec, []) == pytest.approx(98 * 10 / 2)


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param([4000.0, 400, 40, 40, 40, 40], id="slow at first"),
        pytest.param([400.0] * 30 + [40] * 5, id="ten times faster since five trials"),
        pytest.param([4.0] * 30 + [40] * 5, id="ten times slower since five trials"),
        pytest.param([40.0, 40, 1, 40, 40, 86_400, 40], id="one failed at once and one hung"),
    ],
)
def test_seconds_left_ignore_outliers_and_old_trials(seconds: list[float]) -> None:
    spec = manifest(search={"trials": 200, "parallelism": 1}).spec
    waiting = 200 - len(seconds) - 2
    found = search_seconds_left(searching(*seconds), spec, [])
    assert found == pytest.approx(waiting * 40)


def test_seconds_left_ignore_lost_trials() -> None:
    lost = [
        failed(proposal(number), Outcome.INFRASTRUCTURE).model_copy(update={"seconds": 9e5})
        for number in range(10)
    ]
    ended = [
        succeeded(proposal(number), 0.3, 0.4).model_copy(update={"seconds": 40.0})
        for number in range(10, 13)
    ]
    state = SearchState(scorer=BASE, history=History(summary_of([*lost, *ended])))
    spec = manifest(search={"trials": 10, "parallelism": 1}).spec
    assert search_seconds_left(state, spec, []) == pytest.approx(7 * 40)
    only_lost = SearchState(scorer=BASE, history=History(summary_of(lost)))
    assert search_seconds_left(only_lost, spec, []) is None


@pytest.mark.parametrize("ended", [0, 1, 2])
def test_seconds_left_before_three_trials_are_unknown(ended: int) -> None:
    assert search_seconds_left(searching(*[30.0] * ended), SPEC, [progress(9.0)]) is None


def test_seconds_left_before_and_after_the_trials_are_the_jobs_own() -> None:
    over = replace(searching(30), end=SearchEnd(EndReason.TRIALS, "all are decided"))
    for state in (SearchState(), over):
        assert search_seconds_left(state, SPEC, [progress(9.0), progress(7.0)]) == 9.0
        assert search_seconds_left(state, SPEC, [progress(9.0), None]) is None
        assert search_seconds_left(state, SPEC, []) is None


def one_by_one(running: list[float], waiting: int, took: float, parallelism: int) -> float:
    """Simulate: each waiting trial begins as soon as another ends."""
    ends = running + [0.0] * (parallelism - len(running))
    heapify(ends)
    for _ in range(waiting):
        heapreplace(ends, ends[0] + took)
    return max(ends)


@given(
    st.lists(st.floats(0, 1000), max_size=8),
    st.integers(1, 60),
    st.floats(0.5, 100) | st.just(0.0),
    st.integers(0, 4),
)
@example([0.0, 1.0, 1e12], 7, 1.0, 0)
def test_until_last_trial_equals_a_simulation(
    running: list[float], waiting: int, took: float, free: int
) -> None:
    parallelism = max(1, len(running) + free)
    found = until_last_trial(running, waiting, took, parallelism)
    assert found == pytest.approx(one_by_one(running, waiting, took, parallelism), abs=1e-6)


def test_until_last_trial_of_a_million_is_immediate() -> None:
    began = time.process_time()
    assert until_last_trial([5.0, 1e12], 10**9, 2.0, 3) == 1e12
    assert until_last_trial([5.0, 1e12], 10**15, 2.0, 3) == pytest.approx(2e15 / 3, rel=1e-2)
    assert until_last_trial([1e308], 1, 1e-5, 2) == 1e308
    assert time.process_time() - began < 1
