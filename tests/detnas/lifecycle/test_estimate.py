"""The time left, from what trials took and what running jobs say of themselves."""

from dataclasses import replace

import pytest

from detnas.lifecycle.estimate import search_seconds_left
from detnas.lifecycle.state import SearchState
from detnas.records.progress import Progress
from detnas.search import Convergence, Finished, History
from detnas.search.history import write_segments
from detnas.search.loose import LooseEntries
from tests.detnas.memory_store import MemoryStore
from tests.detnas.plan.searches import manifest
from tests.detnas.trials import BASE, START, folded, proposal, succeeded

SPEC = manifest(search={"trials": 10, "parallelism": 2}).spec


def said(seconds_left: float | None) -> Progress:
    return Progress(activity="training", seconds_left=seconds_left, updated=START)


def searching(*seconds: float) -> SearchState:
    entries = {
        number: succeeded(proposal(number), 0.3, 0.4).model_copy(update={"seconds": took})
        for number, took in enumerate(seconds)
    }
    loose = LooseEntries(entries.values())
    running = tuple(proposal(len(seconds) + slot) for slot in range(2))
    history = History(folded(list(entries.values())), in_flight=running, loose=loose)
    return SearchState(facts=BASE, history=write_segments(MemoryStore(), "", history))


def test_trials_that_wait_take_as_long_as_trials_took() -> None:
    # 10 trials, 3 ended, 2 run: 5 wait for 2 slots, 40 s each, after the longer of those that run.
    state = searching(30, 40, 50)
    left = search_seconds_left(state, SPEC, [said(12.0), said(25.0)])
    assert left == pytest.approx(5 * 40 / 2 + 25)
    assert search_seconds_left(state, SPEC, [None, said(None)]) == pytest.approx(5 * 40 / 2)


def test_trials_that_are_packed_count_like_others() -> None:
    spec = manifest(search={"trials": 200, "parallelism": 2}).spec
    for loose in ((), (30.0,)):
        state = searching(*[10.0, 50.0] * 50, *loose)
        assert len(state.history.loose) == len(loose)
        left, mean = 98 - len(loose), (3000 + sum(loose)) / (100 + len(loose))
        assert search_seconds_left(state, spec, []) == pytest.approx(left * mean / 2)


def test_before_a_trial_has_ended_it_is_unknown() -> None:
    assert search_seconds_left(searching(), SPEC, [said(9.0)]) is None


def test_before_and_after_the_trials_the_jobs_say_it() -> None:
    over = replace(searching(30), decision=Finished(Convergence.TRIALS, "all are decided"))
    for state in (SearchState(), over):
        assert search_seconds_left(state, SPEC, [said(9.0), said(7.0), None]) == 9.0
        assert search_seconds_left(state, SPEC, []) is None
