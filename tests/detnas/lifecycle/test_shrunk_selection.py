"""Searches that select by estimates, in a store."""

from dataclasses import replace

import pytest

from detnas.plan.winner import choose_candidates
from detnas.records.results import DetectorResult, Result
from detnas.records.verbs import Verb
from detnas.search import propose
from detnas.store import Store
from tests.detnas.lifecycle.test_candidates import wide_is_accurate
from tests.detnas.searches.in_process import WARM_START, Scheduler, entries, reread, status, tiny


def with_errors(result: Result) -> Result:
    """Return a detector's result as an evaluation with a bootstrap gives it."""
    assert isinstance(result, DetectorResult)
    scores = tuple(one.model_copy(update={"map_error": 0.03}) for one in result.scores)
    return result.model_copy(update={"scores": scores})


@pytest.fixture
def noisy(scheduler: Scheduler) -> Scheduler:
    return replace(scheduler, answers={Verb.BASE: with_errors, Verb.EVALUATE: with_errors})


def test_restarted_search_proposes_the_same(store: Store, noisy: Scheduler) -> None:
    search = tiny(store, "one", selection="Shrunk", trials=12, patience=1000)
    state = noisy.run(search)
    again = reread(search)
    assert again.history.summary == state.history.summary
    assert again.history.summary.changes
    for key in [key for key in store.list(f"{search.requests.search}/ledger/") if "folded" in key]:
        store.delete(key)
    assert reread(search).history.summary == state.history.summary
    assert state.scorer is not None
    settings = search.requests.spec.search.model_copy(update={"trials": 100})
    space = search.requests.spec.proposed_space
    proposed = [
        propose(settings, space, state.scorer, one.history.summary, ()) for one in (state, again)
    ]
    assert proposed[0] == proposed[1]


def test_status_shows_measurement_and_estimate(store: Store, noisy: Scheduler) -> None:
    search = tiny(store, "one", selection="Shrunk", trials=12, patience=1000)
    best = noisy.run(search).history.summary.best
    assert best is not None
    shown = status(search)
    assert shown.best is not None
    assert (shown.best.h, shown.best.estimated_h) == (best.h, best.estimated_h)
    assert best.h != best.estimated_h
    assert [one.estimated_h for one in shown.top] == sorted(
        (one.estimated_h or 0 for one in shown.top), reverse=True
    )


def test_inherited_trials_are_selected_as_the_new_search_says(
    store: Store, noisy: Scheduler
) -> None:
    first = noisy.run(tiny(store, "one", selection="Observed", trials=12, patience=1000))
    shrunk = tiny(store, "two", WARM_START, selection="Shrunk", trials=1)
    state = noisy.run(shrunk)
    inherited = [entry for entry in entries(shrunk, state) if entry.inherited]
    assert all(entry.estimated_h is not None for entry in inherited)
    assert [e.h for e in inherited] == [e.h for e in entries(tiny(store, "one"), first)][:12]
    back = {"warmStart": {"from": "two"}}
    observed = tiny(store, "three", back, trials=1)
    again = noisy.run(observed)
    assert all(entry.estimated_h is None for entry in entries(observed, again))


def test_reason_names_the_estimate_by_which_the_trial_was_selected(
    store: Store, noisy: Scheduler
) -> None:
    search = tiny(store, "one", selection="Shrunk", trials=12, patience=1000)
    best = noisy.run(search).history.summary.best
    assert best is not None
    assert best.estimated_h is not None
    assert best.h is not None
    estimated = f"with an estimated H of {best.estimated_h:.4f} ({best.h:.4f} measured)"
    assert (
        f"trial {best.index} is the best of all trials, {estimated}" in status(search).export_reason
    )


def test_inherited_students_are_fine_tuned_by_their_estimates(
    store: Store, noisy: Scheduler
) -> None:
    """Also those that are on the front and not among the best."""
    noisy.answers[Verb.EVALUATE] = lambda result: with_errors(wide_is_accurate(result))
    noisy.run(tiny(store, "one", trials=30, patience=1000, studentProbability="1.0"))
    spec = {**WARM_START, "finetune": {"epochs": 1, "candidates": 4}}
    search = tiny(store, "two", spec, selection="Shrunk", trials=1, topK=1)
    state = noisy.run(search)
    summary, stages = state.history.summary, state.final_stages
    assert summary.best is not None
    assert stages is not None
    points = {point.index for point in summary.front}
    front = [entry for entry in entries(search, state) if entry.index in points]
    assert len(front) > 4
    expected = choose_candidates(summary.best, front, 4)
    assert [one.student.trial for one in stages.finalists] == [one.index for one in expected]
    assert [one.student.estimate for one in stages.finalists] == [
        one.estimated_h for one in expected
    ]
    assert all(one.student.estimate is not None for one in stages.finalists)
