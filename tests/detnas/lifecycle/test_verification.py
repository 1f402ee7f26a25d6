"""A result is valid if it is complete and its artifacts match, whatever the job was."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from detnas.lifecycle.jobs import job_folder
from detnas.lifecycle.reading.state import SearchReader, SearchState
from detnas.lifecycle.reading.verification import Verification
from detnas.lifecycle.record import StoredSearch
from detnas.lifecycle.session import SearchSession
from detnas.plan.stages import JobId, Phase, plan
from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.records.results import DetectorResult, Outcome, Result
from detnas.records.verbs import RESULT_TYPES, Verb
from detnas.store import Store
from detnas.store.artifacts import load_record
from detnas.store.record_format import encode_record
from tests.detnas.searches.in_process import TUNED, Scheduler, session_of, tiny

CONFIG = b"the exported configuration"
TRAINED = {
    Verb.BASE: JobId(Verb.BASE),
    Verb.POOL: JobId(Verb.POOL, 1),
    Verb.FINETUNE: JobId(Verb.FINETUNE),
}
"""Jobs whose result has weights, except trials."""

DUE = {**TRAINED, Verb.EXPORT: JobId(Verb.EXPORT)}


@dataclass
class Finished:
    """A finished search, whose export has a file."""

    search: StoredSearch
    state: SearchState

    def folder(self, verb: Verb) -> str:
        return job_folder(self.search.requests, self.state, DUE[verb])

    def result(self, verb: Verb) -> Result:
        found = load_record(self.store, keys.result_key(self.folder(verb)), RESULT_TYPES[verb])
        assert found is not None
        return found

    def change(self, verb: Verb, **update: Any) -> None:
        """Change fields of a job's result."""
        changed = self.result(verb).model_copy(update=update)
        self.store.put(keys.result_key(self.folder(verb)), encode_record(changed))

    def change_file(self, verb: Verb, **update: Any) -> None:
        """Change fields of its artifact."""
        ((role, file),) = self.result(verb).files.items()
        self.change(verb, files={role: file.model_copy(update=update)})

    @property
    def store(self) -> Store:
        return self.search.store

    def awaited(self, verb: Verb) -> SearchSession:
        """Return a session that has read a job's result after waiting for it."""
        key = keys.result_key(self.folder(verb))
        result = self.store.get(key)
        assert result
        self.store.delete(key)
        session = session_of(self.search)
        self.store.put(key, result.data)
        session.refresh()
        return session


@pytest.fixture
def finished(store: Store, scheduler: Scheduler) -> Finished:
    search = tiny(store, "one", TUNED, trials=2)
    found = Finished(search, scheduler.run(search))
    folder = found.folder(Verb.EXPORT)
    store.put(f"{folder}/config.py", CONFIG)
    file = Artifact(key=f"{folder}/config.py", size=len(CONFIG), sha256="a" * 64)
    found.change(Verb.EXPORT, files={"config.py": file})
    # A pool's phases are verified only until all of them are recorded.
    store.delete(keys.trained_pool_key(search.requests.search))
    return found


@pytest.mark.parametrize("verb", DUE)
def test_valid_result_is_accepted(finished: Finished, verb: Verb) -> None:
    session = finished.awaited(verb)
    assert session.rejected == {}
    assert session.plan().phase is Phase.SUCCEEDED


DAMAGES: dict[str, tuple[Callable[[Finished, Verb], None], str]] = {
    "wrong digest": (
        lambda found, verb: found.change_file(verb, sha256="b" * 64),
        "which is not the one in the name",
    ),
    "wrong size": (lambda found, verb: found.change_file(verb, size=7), "of 7 bytes; the store"),
    "another job's": (
        lambda found, verb: found.change_file(verb, key="local/searches/other/base/x.bin"),
        "not in the job's own folder",
    ),
    "missing": (
        lambda found, verb: found.store.delete(next(iter(found.result(verb).files.values())).key),
        "which is not in the store",
    ),
    "none": (lambda found, verb: found.change(verb, files={}), "has no weights"),
}


NAMED_BY_ROLE = [
    ("another job's", Verb.EXPORT),
    ("missing", Verb.EXPORT),
    ("wrong size", Verb.EXPORT),
]


@pytest.mark.parametrize(
    ("damage", "verb"), [*((d, verb) for d in DAMAGES for verb in TRAINED), *NAMED_BY_ROLE]
)
def test_invalid_result_is_set_aside_and_its_job_due(
    finished: Finished, damage: str, verb: Verb
) -> None:
    inflict, problem = DAMAGES[damage]
    inflict(finished, verb)
    folder = finished.folder(verb)
    wrong = finished.store.get(keys.result_key(folder))
    assert wrong

    session = finished.awaited(verb)
    assert problem in session.rejected[folder]
    assert DUE[verb] in session.plan().due
    assert finished.store.get(keys.result_key(folder)) is None
    (kept,) = (key for key in finished.store.list(f"{folder}/") if "/failed-" in key)
    assert finished.store.get(kept).data == wrong.data  # type: ignore[union-attr]


def test_exported_file_with_another_name_than_its_role_is_invalid(finished: Finished) -> None:
    folder = finished.folder(Verb.EXPORT)
    finished.store.put(f"{folder}/other.py", CONFIG)
    finished.change_file(Verb.EXPORT, key=f"{folder}/other.py")
    rejected = finished.awaited(Verb.EXPORT).rejected
    assert "config.py other.py, which is another name" in rejected[folder]


@pytest.mark.parametrize("verb", [Verb.BASE, Verb.FINETUNE])
@pytest.mark.parametrize("lacking", [{"architecture": None}, {"scores": ()}])
def test_detector_without_architecture_or_scores_is_invalid(
    finished: Finished, verb: Verb, lacking: dict[str, Any]
) -> None:
    finished.change(verb, **lacking)
    session = finished.awaited(verb)
    assert "no architecture or no scores" in session.rejected[finished.folder(verb)]
    assert DUE[verb] in session.plan().due


@pytest.mark.parametrize("verb", TRAINED)
def test_failure_without_files_is_valid(finished: Finished, verb: Verb) -> None:
    finished.change(verb, outcome=Outcome.INFRASTRUCTURE, files={})
    assert finished.awaited(verb).rejected == {}


@pytest.mark.parametrize("verb", DUE)
def test_result_with_consumers_is_not_verified_after_a_restart(
    finished: Finished, verb: Verb
) -> None:
    for file in finished.result(verb).files.values():
        finished.store.delete(file.key)
    session = session_of(finished.search)
    assert session.rejected == {}
    assert session.plan().phase is Phase.SUCCEEDED


@pytest.mark.parametrize("verb", DUE)
def test_artifact_is_verified_once_for_many_refreshes(
    finished: Finished, monkeypatch: pytest.MonkeyPatch, verb: Verb
) -> None:
    calls: Counter[str] = Counter()
    size = finished.store.size

    def counted(key: str) -> int | None:
        calls[key] += 1
        return size(key)

    key = keys.result_key(finished.folder(verb))
    result = finished.store.get(key)
    assert result
    finished.store.delete(key)
    monkeypatch.setattr(finished.store, "size", counted)
    session = session_of(finished.search)
    finished.store.put(key, result.data)
    for _ in range(3):
        session.refresh()
    files = {file.key: 1 for file in finished.result(verb).files.values()}
    assert {key: calls[key] for key in files} == files


CONSUMERS = {
    Verb.PREPARE: ("base", "trials", "finetune", "students"),
    Verb.BASE: ("trials", "finetune", "students"),
    Verb.POOL: ("trials", "finetune", "students"),
    Verb.FINETUNE: ("students",),
}
"""Folders with the consumers of these jobs' results."""


def take_back(finished: Finished, verb: Verb) -> str:
    """Let a job be the last that ended; return its folder."""
    requests, state = finished.search.requests, finished.state
    for name in CONSUMERS[verb]:
        for key in list(finished.store.list(f"{requests.search}/{name}/")):
            finished.store.delete(key)
    if verb is Verb.POOL:
        last = job_folder(requests, state, JobId(Verb.POOL, 1))
        for key in list(finished.store.list(f"{last}/")):
            finished.store.delete(key)
    return job_folder(requests, state, JobId(verb))


@pytest.mark.parametrize("verb", [Verb.BASE, Verb.POOL, Verb.FINETUNE])
def test_result_without_consumers_is_verified_after_a_restart(
    finished: Finished, verb: Verb
) -> None:
    folder = take_back(finished, verb)
    result = load_record(finished.store, keys.result_key(folder), RESULT_TYPES[verb])
    assert result is not None
    finished.store.delete(result.files["weights"].key)
    session = session_of(finished.search)
    assert [*session.rejected] == [folder]
    assert finished.store.get(keys.result_key(folder)) is None
    assert JobId(verb) in session.plan().due


def test_data_check_without_consumers_is_verified_after_a_restart(finished: Finished) -> None:
    folder = take_back(finished, Verb.PREPARE)
    result = load_record(finished.store, keys.result_key(folder), RESULT_TYPES[Verb.PREPARE])
    assert result is not None
    missing = Artifact(key=f"{folder}/{'c' * 64}.json", size=1, sha256="c" * 64)
    files = {"listing": missing}
    finished.store.put(
        keys.result_key(folder), encode_record(result.model_copy(update={"files": files}))
    )
    session = session_of(finished.search)
    assert [*session.rejected] == [folder]
    assert session.plan().due == (JobId(Verb.PREPARE),)


def trial_result(search: StoredSearch, index: int) -> DetectorResult:
    key = keys.result_key(keys.trial_folder(search.requests.search, index))
    result = load_record(search.store, key, DetectorResult)
    assert result is not None
    return result


def test_trial_is_verified_when_it_ends_and_never_again(
    store: Store, scheduler: Scheduler, tmp_path: Path
) -> None:
    search = tiny(store, "one", trials=2, parallelism=2)
    waiting = Scheduler(tmp_path, unanswered={0, 1})
    waiting.run(search)
    session = session_of(search)
    scheduler.run(search)
    store.delete(trial_result(search, 1).weights.key)
    in_flight = [proposal.index for proposal in session.refresh().history.in_flight]
    folder = keys.trial_folder(search.requests.search, 1)
    assert (in_flight, [*session.rejected]) == ([1], [folder])
    assert finished_trials(session_of(search).state) == [0]


def test_weights_collected_before_the_trials_process_ended_do_not_invalidate_it(
    store: Store, scheduler: Scheduler, tmp_path: Path
) -> None:
    search = tiny(store, "one", trials=2, parallelism=2)
    Scheduler(tmp_path, unanswered={0, 1}).run(search)
    session = session_of(search)
    scheduler.run(search)  # as another process that was still training when its scheduler died
    session.refresh()
    store.delete(trial_result(search, 1).weights.key)
    assert session.result(JobId(Verb.EVALUATE, 1)) == trial_result(search, 1)
    assert not session.rejected


@pytest.mark.parametrize("invalidated", [False, True], ids=["first read", "invalidated"])
@pytest.mark.parametrize("lacking", ["weights", "scores"])
def test_trial_that_ended_unobserved_is_verified(
    store: Store, scheduler: Scheduler, tmp_path: Path, lacking: str, invalidated: bool
) -> None:
    search = tiny(store, "one", trials=2, parallelism=2)
    Scheduler(tmp_path, unanswered={0, 1}).run(search)
    verification = Verification(store)
    reader = SearchReader(store, search.requests, verification)
    if invalidated:
        reader.read()
        reader.invalidate_trials()
    scheduler.run(search)
    result, folder = trial_result(search, 1), keys.trial_folder(search.requests.search, 1)
    if lacking == "weights":
        store.delete(result.weights.key)
    else:
        torn = result.model_copy(update={"scores": ()})
        store.put(keys.result_key(folder), encode_record(torn))
    state = reader.read()
    assert finished_trials(state) == [0]
    assert [*verification.rejected] == [folder]
    assert plan(state.observation, search.requests.spec).due == (JobId(Verb.EVALUATE, 1),)


def test_collected_weights_are_not_verified_after_a_restart(
    store: Store, scheduler: Scheduler
) -> None:
    search = tiny(store, "one", trials=9, topK=1, parallelism=1)
    scheduler.run(search)
    store.delete(keys.ledger_snapshot(search.requests.search))  # all of them are read one by one
    kept = [index for index in range(9) if store.size(trial_result(search, index).weights.key)]
    assert len(kept) < 9
    session = session_of(search)
    assert finished_trials(session.state) == list(range(9))
    assert session.rejected == {}


def finished_trials(state: SearchState) -> list[int]:
    return sorted(state.history.unsegmented)


def test_search_whose_export_never_has_a_valid_result_fails_after_the_retries(
    store: Store, scheduler: Scheduler
) -> None:
    def names_a_missing_file(result: Result) -> Result:
        file = Artifact(key="local/elsewhere/detector.pth", size=1, sha256="0" * 64)
        return result.model_copy(update={"files": {"detector.pth": file}})

    scheduler.answers[Verb.EXPORT] = names_a_missing_file
    search = tiny(store, "one", {"limits": {"retries": 1}}, trials=2)
    state = scheduler.run(search)
    assert len(scheduler.ran(Verb.EXPORT)) == 2
    assert plan(state.observation, search.requests.spec).phase is Phase.FAILED
