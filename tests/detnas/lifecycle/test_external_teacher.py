"""Whom a teacher of one's own teaches: all students without a pool, or the fine-tuning."""

from pathlib import Path
from typing import Any

import pytest

from detnas.plan.planned_trainings import planned_trainings
from detnas.plan.stages import Phase, plan
from detnas.records import keys
from detnas.records.requests import Request, StudentRequest
from detnas.records.verbs import Verb
from detnas.spec import DetNASSearch, ManifestError
from detnas.spec.loading import read_manifest
from detnas.store import Store
from detnas.store.record_format import decode_record
from tests.cluster.searches import PHASES, manifest
from tests.detnas.searches.in_process import TUNED, Scheduler, session_of, tiny

FILES = {"config": "htc.py", "weights": "s3://models/htc.pth"}
ALONE = {"teachers": {"choice": "External", "external": FILES}}
BESIDE = {"teachers": {"phases": PHASES, "external": FILES}, **TUNED}


def _student(store: Store, folder: str) -> StudentRequest:
    stored = store.get(keys.request_key(folder))
    assert stored is not None
    request = decode_record(stored.data, folder, Request)
    assert isinstance(request, StudentRequest)
    return request


def test_search_with_the_external_teacher_alone_trains_no_pool(
    store: Store, tmp_path: Path
) -> None:
    search = tiny(store, "one", {**ALONE, **TUNED}, trials=4)
    scheduler = Scheduler(tmp_path)
    state = scheduler.run(search)
    assert plan(state.observation, search.requests.spec).phase is Phase.SUCCEEDED
    assert Verb.POOL not in {job.verb for job in scheduler.done}
    assert not list(store.list("local/pools/"))
    folder = search.requests.search
    assert store.size(keys.trained_pool_key(folder)) is None
    assert state.prepare is not None
    for key in (keys.trial_folder(folder, 1), keys.finetune_folder(folder)):
        request = _student(store, key)
        assert request.external == state.prepare.external_teacher
        assert (request.teacher, request.pool, request.new_adaptor) == (None, None, False)
    assert session_of(search).lease is None
    # Nothing but the student changes: after the warm-up every trial evolves it.
    actions = [_student(store, keys.trial_folder(folder, n)).action for n in range(2, 4)]
    assert all(actions)


def test_external_teacher_beside_the_pool_teaches_the_fine_tuning_alone(
    store: Store, tmp_path: Path
) -> None:
    search = tiny(store, "one", BESIDE, trials=3)
    state = Scheduler(tmp_path).run(search)
    folder = search.requests.search
    trial = _student(store, keys.trial_folder(folder, 1))
    assert trial.external is None
    assert trial.pool is not None
    tuned = _student(store, keys.finetune_folder(folder))
    assert state.prepare is not None
    assert tuned.external == state.prepare.external_teacher
    assert (tuned.teacher, tuned.pool, tuned.new_adaptor) == (None, None, True)


def test_fine_tuning_has_losses_of_its_own_if_the_manifest_gives_them(
    store: Store, tmp_path: Path
) -> None:
    finetune = {"epochs": 1, "distillation": {"localization": "Plain"}}
    search = tiny(store, "one", {**BESIDE, "finetune": finetune}, trials=2)
    Scheduler(tmp_path).run(search)
    folder = search.requests.search
    assert _student(store, keys.finetune_folder(folder)).distillation.localization == "Plain"
    trial = _student(store, keys.trial_folder(folder, 1))
    assert trial.distillation.localization == "ClassAware"
    teacher = search.requests.prepare().teacher
    assert teacher is not None
    assert teacher.class_aware is False


@pytest.mark.parametrize(
    ("spec", "class_aware"),
    [
        (ALONE, True),
        ({**ALONE, "distillation": {"localization": "Plain"}}, False),
        ({**ALONE, "distillation": {"localizationWeight": "0"}}, False),
        (BESIDE, True),
    ],
)
def test_data_check_gets_absolute_places_and_what_the_losses_need(
    store: Store, spec: dict[str, Any], class_aware: bool
) -> None:
    teacher = tiny(store, "one", spec).requests.prepare().teacher
    assert teacher is not None
    assert (teacher.config, teacher.weights) == ("/htc.py", "s3://models/htc.pth")
    assert teacher.class_aware is class_aware


def test_trainer_that_stores_no_teacher_fails_the_search_and_is_named(
    store: Store, tmp_path: Path
) -> None:
    scheduler = Scheduler(tmp_path)

    def older(result: Any) -> Any:
        return result.model_copy(update={"files": {}})

    scheduler.answers[Verb.PREPARE] = older
    search = tiny(store, "one", ALONE)
    decided = plan(scheduler.run(search).observation, search.requests.spec)
    assert decided.phase is Phase.FAILED
    assert "too old for spec.teachers.external" in decided.problem


def test_pools_own_trainings_are_not_planned_without_a_pool() -> None:
    names = {one.name for one in planned_trainings(_read({**ALONE}).spec)}
    assert not {name for name in names if "pool" in name}


def test_manifests_of_earlier_searches_keep_their_digest() -> None:
    written = _read({}).model_dump(mode="json", by_alias=True)
    assert "external" not in written["spec"]["teachers"]


def _read(spec: dict[str, Any], **search: Any) -> DetNASSearch:
    return read_manifest(manifest("one", spec, **search), "one")


@pytest.mark.parametrize(
    ("spec", "search", "said"),
    [
        ({"teachers": {"choice": "External"}}, {}, "choice External needs external"),
        (
            {"teachers": {**ALONE["teachers"], "pool": "s3://a/b/pools/c"}},
            {},
            "with choice External no pool teaches; leave pool out",
        ),
        ({"teachers": BESIDE["teachers"]}, {}, "give finetune, or teachers.choice: External"),
        (BESIDE, {"strategy": "Pipeline"}, "set teachers.choice: External"),
        ({"teachers": {"external": {"config": "a.py"}}}, {}, "spec.teachers.external.weights"),
    ],
)
def test_external_teacher_without_meaning_is_refused(
    spec: dict[str, Any], search: dict[str, Any], said: str
) -> None:
    with pytest.raises(ManifestError, match=said):
        _read(spec, **search)
