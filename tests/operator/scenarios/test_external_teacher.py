"""Searches with a teacher of one's own, as their user sees them."""

from threading import Event
from typing import Any

from detnas.records import keys
from detnas.records.requests import Request, StudentRequest
from detnas.store.record_format import decode_record
from tests.cluster.scripts import runs_until, succeeds
from tests.operator.harness.behaviours import publishes
from tests.operator.harness.harness import ONE_PHASE, Harness
from tests.operator.harness.search import Search

NAMESPACES = 3
FILES = {"config": "htc.py", "weights": "htc.pth"}
ALONE: dict[str, Any] = {"choice": "External", "external": FILES}
TUNED = {"finetune": {"epochs": 1}}


def student(search: Search, folder: str) -> StudentRequest:
    """The request of a job that trains a student."""
    stored = search.store.get(keys.request_key(folder))
    assert stored is not None
    request = decode_record(stored.data, folder, Request)
    assert isinstance(request, StudentRequest)
    return request


def test_search_under_an_external_teacher_alone_trains_no_pool(harness: Harness) -> None:
    over = Event()
    harness.on("alone-base", runs_until(over, succeeds(work=harness.trainer)))
    search = harness.begin("alone", {"teachers": ALONE, **TUNED})
    # The data check has read it: it is ready before anything is trained.
    search.until(lambda: search.has_condition("TeachersReady", "True", "Trained"))
    assert "external teacher" in search.condition("TeachersReady")["message"]
    assert search.status["teachers"]["progress"] == "Ready"
    over.set()
    search.until_phase("Succeeded")
    endings = ("prepare", "base", "t0000", "t0001", "finetune", "export")
    assert set(search.jobs()) == {f"alone-{ending}" for ending in endings}
    for folder in (keys.trial_folder(search.folder, 1), keys.finetune_folder(search.folder)):
        request = student(search, folder)
        assert request.external is not None
        assert (request.pool, request.teacher) == (None, None)


def test_external_teacher_beside_the_pool_teaches_the_fine_tuning_alone(harness: Harness) -> None:
    teachers = {**ONE_PHASE, "external": FILES}
    search = harness.begin("beside", {"teachers": teachers, **TUNED}).until_phase("Succeeded")
    assert "beside-pool-0" in search.jobs()
    trial = student(search, keys.trial_folder(search.folder, 1))
    tuned = student(search, keys.finetune_folder(search.folder))
    assert (trial.external is None, tuned.external is None) == (True, False)
    assert (trial.pool is None, tuned.pool is None) == (False, True)


def test_trainer_that_stores_no_external_teacher_fails_the_search_and_is_named(
    harness: Harness,
) -> None:
    older = publishes(harness.trainer, lambda result: result.model_copy(update={"files": {}}))
    harness.on("older-prepare", succeeds(work=older))
    search = harness.begin("older", {"teachers": ALONE}).until_phase("Failed")
    message = search.condition("Succeeded")["message"]
    assert "too old for spec.teachers.external" in message
    assert set(search.jobs()) == {"older-prepare"}
