"""The front of a search and its recommendations, as its status has them."""

from typing import Any

import pytest

from detnas.lifecycle.outcome import detectors_of
from detnas.lifecycle.reading.state import SearchState
from detnas.lifecycle.status import MAX_FRONT
from detnas.plan.front import pareto_front
from detnas.records.results import ExportResult, Latency, Result
from detnas.records.verbs import Verb
from detnas.store import Store
from tests.detnas.searches.in_process import TUNED, Scheduler, reread, status, tiny, with_map_times

WANTED: dict[str, Any] = {
    "objectives": [
        {"name": "edge", "maxLatencyMs": "10"},
        {"name": "tiny", "maxLatencyMs": "1"},
        {"minMap": "0.01"},
    ]
}


def timed(result: Result) -> Result:
    """Return the result of an export whose student takes 7 ms, and whose base 12 ms."""
    assert isinstance(result, ExportResult)
    assert result.student_latency is not None
    at = result.student_latency.resolution
    student, base = (
        Latency(resolution=at, milliseconds=milliseconds, device="CPU")
        for milliseconds in (7.0, 12.0)
    )
    update = {"student_latency": student, "base_latency": base}
    return result.model_copy(update={**update, "base_latency_same_resolution": base})


@pytest.fixture
def timing(scheduler: Scheduler) -> Scheduler:
    scheduler.answers[Verb.EXPORT] = timed
    scheduler.answers[Verb.FINETUNE] = lambda result: with_map_times(result, 1.5)
    return scheduler


def names(state: SearchState) -> set[str]:
    return {one.name for one in detectors_of(state)}


def test_front_of_a_search_has_its_trials_and_the_finetuned_student(
    store: Store, timing: Scheduler
) -> None:
    search = tiny(store, "one", TUNED)
    state = timing.run(search)
    best = state.history.summary.best
    assert best is not None
    assert {"the base", f"trial {best.index}, fine-tuned"} <= names(state)
    found, front = status(search), pareto_front(detectors_of(state))
    assert (found.front, found.front_size) == (front, len(front))
    assert found.front[-1].name == f"trial {best.index}, fine-tuned"


def test_status_names_at_most_a_few_points(store: Store, scheduler: Scheduler) -> None:
    search = tiny(store, "one", trials=60, patience=1000, studentProbability="1.0")
    scheduler.run(search)
    found = status(search)
    assert 1 < len(found.front) <= MAX_FRONT
    assert found.front_size >= len(found.front)


def test_objective_gets_the_student_that_the_export_timed(store: Store, timing: Scheduler) -> None:
    search = tiny(store, "one", TUNED | WANTED)
    timing.run(search)
    found = status(search)
    edge, tiniest, accurate = found.recommended
    assert edge.detector is not None
    assert (edge.detector.trial, edge.detector.finetuned) == (found.exported_trial, True)
    assert edge.latency is not None
    assert edge.latency.milliseconds == 7
    assert "; for comparison, the base at" in edge.reason
    assert tiniest.detector is None
    assert "the fastest is trial" in tiniest.reason
    assert accurate.detector is not None


def test_objective_before_the_export_says_what_is_missing(
    store: Store, scheduler: Scheduler
) -> None:
    scheduler.unanswered = (3,)
    search = tiny(store, "one", WANTED)
    scheduler.run(search)
    edge, _, accurate = status(search).recommended
    assert edge.detector is None
    assert edge.reason.startswith("no latency is known")
    assert accurate.detector is not None


def test_objectives_may_change_while_a_search_runs(store: Store, timing: Scheduler) -> None:
    search = tiny(store, "one")
    timing.run(search)
    again = tiny(store, "one", WANTED)
    assert again.requests.search == search.requests.search
    timing.done.clear()
    assert timing.run(again).trials == reread(search).trials
    assert timing.done == []
    assert len(status(again).recommended) == 3
