"""Searches whose students are no better than the base: the base is exported, with the reason."""

from typing import Any

import pytest

from detnas.lifecycle.record import StoredSearch
from detnas.plan.requests import FinalRequests
from detnas.plan.stages import Phase
from detnas.plan.winner import Winner, trained_detector
from detnas.records import keys
from detnas.records.requests import ExportRequest
from detnas.records.results import DetectorResult, ExportResult, PrepareResult, Result, SplitSummary
from detnas.records.verbs import Verb
from detnas.report.data import gather
from detnas.report.page import render
from detnas.store import Store
from detnas.store.artifacts import create_record, load_record
from tests.detnas.searches.in_process import (
    TUNED,
    Scheduler,
    delete,
    reread,
    session_of,
    status,
    tiny,
    with_map_times,
)

NONE_BETTER = "no student is better than the base"


def worse(result: Result) -> Result:
    """Return a student's result with an H far below any base's."""
    return with_map_times(result, 0.1)


def export_request(search: StoredSearch, name: str) -> ExportRequest:
    key = keys.request_key(f"{search.requests.search}/students/{name}")
    found = load_record(search.store, key, ExportRequest)
    assert found is not None
    return found


@pytest.mark.parametrize("spec", [{}, TUNED], ids=["plain", "fine-tuned"])
def test_export_without_a_better_student_is_of_the_base(
    store: Store, scheduler: Scheduler, spec: dict[str, Any]
) -> None:
    scheduler.answers |= {Verb.EVALUATE: worse, Verb.FINETUNE: worse}
    search = tiny(store, "one", spec, trials=2)
    state = scheduler.run(search)
    assert len(scheduler.ran(Verb.FINETUNE)) == bool(spec), "it may still become better"

    request = export_request(search, "best")
    assert state.base is not None
    assert request.is_base
    assert (request.weights, request.architecture) == (state.base.weights, state.base.architecture)
    assert (request.resolution, request.expected_map) == (
        request.base_resolution,
        max(score.map for score in state.base.scores if score.resolution == request.resolution),
    )

    found = status(search)
    assert (found.phase, found.improved, found.exported_trial) == (Phase.SUCCEEDED, False, None)
    assert found.exported is not None
    assert found.exported.is_base
    assert found.base is not None
    assert found.exported.model_copy(update={"latency": found.base.latency}) == found.base
    assert found.export_reason.startswith(NONE_BETTER)
    assert any("only 2 trials finished" in cause for cause in found.likely_causes)


def test_export_of_a_finetuned_student_that_beats_the_base(
    store: Store, scheduler: Scheduler
) -> None:
    scheduler.answers |= {
        Verb.EVALUATE: worse,
        Verb.FINETUNE: lambda result: with_map_times(result, 100),
    }
    search = tiny(store, "one", TUNED, trials=2)
    scheduler.run(search)
    found = status(search)
    assert (found.improved, found.likely_causes) == (True, ())
    assert found.exported is not None
    assert not found.exported.is_base
    assert not export_request(search, "best").is_base


def test_status_of_a_student_equal_to_the_base_is_not_improved(
    store: Store, scheduler: Scheduler
) -> None:
    """Trial 0 has the base's architecture; given its scores, it has its H."""
    search = tiny(store, "one", trials=1)
    folder = keys.base_folder(search.requests.search)

    def equal(result: Result) -> Result:
        base = load_record(store, keys.result_key(folder), DetectorResult)
        assert base is not None
        return result.model_copy(update={"scores": base.scores})

    scheduler.answers[Verb.EVALUATE] = equal
    scheduler.run(search)
    assert status(search).improved is False


def test_export_after_more_trials_adds_the_better_student_to_the_base(
    store: Store, scheduler: Scheduler
) -> None:
    scheduler.answers[Verb.EVALUATE] = worse
    scheduler.run(tiny(store, "one", trials=2))
    scheduler.answers[Verb.EVALUATE] = lambda result: with_map_times(result, 100)
    search = tiny(store, "one", trials=3)
    scheduler.run(search)
    found = status(search)
    assert (found.improved, found.exported_trial) == (True, 2)
    assert found.exported_to == f"{search.uri}/students/best-0002"
    assert export_request(search, "best").is_base
    assert len(scheduler.ran(Verb.EXPORT)) == 2


def as_exported_before(search: StoredSearch, trial: int, *, done: bool = True) -> None:
    """Replace the export by that of a trial's student, as an earlier version would have had it."""
    state, requests, store = reread(search), search.requests, search.store
    assert state.scorer
    assert state.prepare
    students = f"{requests.search}/students/"
    for key in list(store.list(students)):
        store.delete(key)
    key = keys.result_key(keys.trial_folder(requests.search, trial))
    result = load_record(store, key, DetectorResult)
    assert result
    student = trained_detector(state.scorer, trial, result, None)
    folder = keys.export_folder(requests.search)
    request = FinalRequests(requests).export(folder, Winner(student, ""), state.prepare, student)
    create_record(store, keys.request_key(folder), request)
    if done:
        times = {"started": result.started, "finished": result.finished}
        create_record(store, keys.result_key(folder), ExportResult(**times, map=student.map))


@pytest.mark.parametrize("done", [True, False], ids=["done", "begun"])
def test_a_student_that_was_exported_before_stays_and_is_said_to_be_no_better(
    store: Store, scheduler: Scheduler, done: bool
) -> None:
    scheduler.answers[Verb.EVALUATE] = worse
    search = tiny(store, "one", trials=2)
    scheduler.run(search)
    best = status(search).best_trial
    assert best is not None
    as_exported_before(search, best, done=done)
    scheduler.run(search)
    found = status(search)
    assert (found.phase, found.improved) == (Phase.SUCCEEDED, False)
    assert found.exported_trial == found.best_trial
    assert found.exported_to == f"{search.uri}/students/best"
    assert NONE_BETTER in found.export_reason
    assert found.likely_causes
    assert len(scheduler.ran(Verb.EXPORT)) == (1 if done else 2)


def test_restart_verifies_no_finetuning_that_the_base_beat(
    store: Store, scheduler: Scheduler
) -> None:
    """Its weights are not needed by a search that has exported the base."""
    scheduler.answers |= {Verb.EVALUATE: worse, Verb.FINETUNE: worse}
    search = tiny(store, "one", TUNED, trials=2)
    state = scheduler.run(search)
    assert state.final_stages
    assert state.final_stages.finalists[0].tuning
    store.delete(state.final_stages.finalists[0].tuning.weights.key)
    again = session_of(search).state
    assert again.final_stages
    assert again.final_stages.finalists[0].tuning == state.final_stages.finalists[0].tuning


def test_export_of_the_base_leaves_the_export_of_an_earlier_student(
    store: Store, scheduler: Scheduler
) -> None:
    """It was the best when there were fewer trials."""
    scheduler.answers |= {
        Verb.EVALUATE: worse,
        Verb.FINETUNE: lambda result: with_map_times(result, 0.2),
    }
    search = tiny(store, "one", TUNED, trials=2)
    scheduler.run(search)
    as_exported_before(search, 1 - (status(search).best_trial or 0))
    scheduler.run(search)
    found = status(search)
    assert found.exported_trial is None
    assert found.exported_to == f"{search.uri}/students/best-base"
    assert export_request(search, "best-base").is_base
    state = reread(search)
    assert state.final_stages
    assert state.final_stages.finalists[0].tuning
    store.delete(state.final_stages.finalists[0].tuning.weights.key)
    again = session_of(search).state
    assert again.final_stages
    assert again.final_stages.export_folder.endswith("/students/best-base")


def test_page_without_a_better_student_states_it_and_the_causes(
    store: Store, scheduler: Scheduler
) -> None:
    def few(result: Result) -> Result:
        split = SplitSummary(sha256="", images=30, boxes=30, empty_images=0)
        assert isinstance(result, PrepareResult)
        return result.model_copy(update={"train": split, "val": split})

    scheduler.answers |= {Verb.EVALUATE: worse, Verb.PREPARE: few}
    search = tiny(store, "one", trials=2)
    scheduler.run(search)
    data = gather(store, search.requests)
    assert data.lineage[0].detector.name == "base"
    assert data.exported is not None
    page = render(data)
    for said in (
        "No student is better than the base.",
        "30 validation images tell mAP only to about ±9.1 points",
        "a trial trains for 23 steps only",
        "only 2 trials finished",
        "exported: the base",
        "Lineage of the best student",
    ):
        assert said in page, said

    delete(search)
    scheduler.answers = {Verb.EVALUATE: lambda result: with_map_times(result, 100)}
    better = tiny(store, "one", trials=2)
    scheduler.run(better)
    page = render(gather(store, better.requests))
    assert "No student is better" not in page
    assert "Lineage of the winner" in page
