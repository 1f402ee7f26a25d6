"""A result is believed if it is whole and its files are as it says, whatever the job was."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from detnas.lifecycle.failures import RESULT_TYPES
from detnas.lifecycle.reading.state import SearchReader, SearchState
from detnas.lifecycle.reading.verification import Verification
from detnas.lifecycle.record import StoredSearch
from detnas.lifecycle.status import job_folder
from detnas.plan.stages import DueJob, Phase, Verb, plan
from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.records.results import DetectorResult, Outcome, Result
from detnas.store import Store
from detnas.store.artifacts import canonical_json, load_record
from tests.detnas.searches.in_process import Scheduler, tiny

CONFIG = b"the exported configuration"
TUNED = {"finetune": {"epochs": 1}}
TRAINED = {
    Verb.BASE: DueJob(Verb.BASE),
    Verb.POOL: DueJob(Verb.POOL, 1),
    Verb.FINETUNE: DueJob(Verb.FINETUNE),
}
"""Jobs whose result has weights, but for trials."""

DUE = {**TRAINED, Verb.EXPORT: DueJob(Verb.EXPORT)}


@dataclass
class Finished:
    """A search that went to its end, its export with a file."""

    search: StoredSearch
    state: SearchState

    def folder(self, verb: Verb) -> str:
        return job_folder(self.search.requests, self.state, DUE[verb])

    def result(self, verb: Verb) -> Result:
        found = load_record(self.store, keys.result_key(self.folder(verb)), RESULT_TYPES[verb])
        assert found is not None
        return found

    def change(self, verb: Verb, **update: Any) -> None:
        """Let a job's result say something else."""
        changed = self.result(verb).model_copy(update=update)
        self.store.put(keys.result_key(self.folder(verb)), canonical_json(changed))

    def change_file(self, verb: Verb, **update: Any) -> None:
        """Let it say something else of its file."""
        ((role, file),) = self.result(verb).files.items()
        self.change(verb, files={role: file.model_copy(update=update)})

    @property
    def store(self) -> Store:
        return self.search.store

    def as_it_comes(self, verb: Verb) -> tuple[SearchState, Verification]:
        """What a process reads that has waited for a job's result."""
        key = keys.result_key(self.folder(verb))
        result = self.store.get(key)
        assert result
        self.store.delete(key)
        verification = Verification(self.store)
        reader = SearchReader(self.store, self.search.requests, verification)
        reader.read()
        self.store.put(key, result.data)
        return reader.read(), verification

    def from_the_start(self) -> tuple[SearchState, Verification]:
        """What one reads that has just started."""
        verification = Verification(self.store)
        return SearchReader(self.store, self.search.requests, verification).read(), verification

    def due(self, state: SearchState) -> tuple[DueJob, ...]:
        return plan(state.observation, self.search.requests.spec).due


@pytest.fixture
def finished(store: Store, scheduler: Scheduler) -> Finished:
    search = tiny(store, "one", TUNED, trials=2)
    found = Finished(search, scheduler.run(search))
    folder = found.folder(Verb.EXPORT)
    store.put(f"{folder}/config.py", CONFIG)
    file = Artifact(key=f"{folder}/config.py", size=len(CONFIG), sha256="a" * 64)
    found.change(Verb.EXPORT, files={"config.py": file})
    # What a pool's phases left is looked at only until all of them are noted.
    store.delete(keys.trained_pool_key(search.requests.search))
    return found


@pytest.mark.parametrize("verb", DUE)
def test_all_is_believed_where_all_is_well(finished: Finished, verb: Verb) -> None:
    state, verification = finished.as_it_comes(verb)
    assert verification.rejected == {}
    assert plan(state.observation, finished.search.requests.spec).phase is Phase.SUCCEEDED


DAMAGES: dict[str, tuple[Callable[[Finished, Verb], None], str]] = {
    "wrong digest": (
        lambda found, verb: found.change_file(verb, sha256="b" * 64),
        "which is not the one in the name",
    ),
    "wrong size": (lambda found, verb: found.change_file(verb, size=7), "of 7 bytes; the store"),
    "another's": (
        lambda found, verb: found.change_file(verb, key="local/searches/other/base/x.bin"),
        "not in the job's own folder",
    ),
    "missing": (
        lambda found, verb: found.store.delete(next(iter(found.result(verb).files.values())).key),
        "which is not in the store",
    ),
    "none": (lambda found, verb: found.change(verb, files={}), "has no weights"),
}


NAMED_BY_ROLE = [("another's", Verb.EXPORT), ("missing", Verb.EXPORT), ("wrong size", Verb.EXPORT)]


@pytest.mark.parametrize(
    ("damage", "verb"), [*((d, verb) for d in DAMAGES for verb in TRAINED), *NAMED_BY_ROLE]
)
def test_what_is_wrong_is_set_aside_and_the_job_is_due_again(
    finished: Finished, damage: str, verb: Verb
) -> None:
    work, says = DAMAGES[damage]
    work(finished, verb)
    folder = finished.folder(verb)
    wrong = finished.store.get(keys.result_key(folder))
    assert wrong

    state, verification = finished.as_it_comes(verb)
    assert says in verification.rejected[folder]
    assert DUE[verb] in finished.due(state)
    assert finished.store.get(keys.result_key(folder)) is None
    (kept,) = (key for key in finished.store.list(f"{folder}/") if "/failed-" in key)
    assert finished.store.get(kept).data == wrong.data  # type: ignore[union-attr]


def test_an_exported_file_bears_the_name_of_its_role(finished: Finished) -> None:
    folder = finished.folder(Verb.EXPORT)
    finished.store.put(f"{folder}/other.py", CONFIG)
    finished.change_file(Verb.EXPORT, key=f"{folder}/other.py")
    _, verification = finished.as_it_comes(Verb.EXPORT)
    assert "config.py other.py, which is another name" in verification.rejected[folder]


@pytest.mark.parametrize("verb", [Verb.BASE, Verb.FINETUNE])
@pytest.mark.parametrize("lacking", [{"architecture": None}, {"scores": ()}])
def test_a_detector_without_architecture_or_scores_is_none(
    finished: Finished, verb: Verb, lacking: dict[str, Any]
) -> None:
    finished.change(verb, **lacking)
    state, verification = finished.as_it_comes(verb)
    assert "no architecture or no scores" in verification.rejected[finished.folder(verb)]
    assert DUE[verb] in finished.due(state)


@pytest.mark.parametrize("verb", TRAINED)
def test_a_failure_needs_no_files(finished: Finished, verb: Verb) -> None:
    finished.change(verb, outcome=Outcome.INFRASTRUCTURE, files={})
    _, verification = finished.as_it_comes(verb)
    assert verification.rejected == {}


@pytest.mark.parametrize("verb", DUE)
def test_what_was_believed_before_is_not_done_again_because_its_files_were_moved_away(
    finished: Finished, verb: Verb
) -> None:
    for file in finished.result(verb).files.values():
        finished.store.delete(file.key)
    state, verification = finished.from_the_start()
    assert verification.rejected == {}
    assert plan(state.observation, finished.search.requests.spec).phase is Phase.SUCCEEDED


@pytest.mark.parametrize("verb", DUE)
def test_a_file_is_looked_at_once_however_often_the_search_is(
    finished: Finished, monkeypatch: pytest.MonkeyPatch, verb: Verb
) -> None:
    looked: Counter[str] = Counter()
    size = finished.store.size

    def counted(key: str) -> int | None:
        looked[key] += 1
        return size(key)

    key = keys.result_key(finished.folder(verb))
    result = finished.store.get(key)
    assert result
    finished.store.delete(key)
    monkeypatch.setattr(finished.store, "size", counted)
    reader = SearchReader(finished.store, finished.search.requests, Verification(finished.store))
    reader.read()
    finished.store.put(key, result.data)
    for _ in range(3):
        reader.read()
    files = {file.key: 1 for file in finished.result(verb).files.values()}
    assert {key: looked[key] for key in files} == files


LATER = {
    Verb.PREPARE: ("base", "trials", "finetune", "students"),
    Verb.BASE: ("trials", "finetune", "students"),
    Verb.POOL: ("trials", "finetune", "students"),
    Verb.FINETUNE: ("students",),
}
"""Folders of a search with what is built on these jobs' results."""


def take_back(finished: Finished, verb: Verb) -> str:
    """Let a job be the last that ended; return its folder."""
    requests, state = finished.search.requests, finished.state
    for name in LATER[verb]:
        for key in list(finished.store.list(f"{requests.search}/{name}/")):
            finished.store.delete(key)
    if verb is Verb.POOL:
        last = job_folder(requests, state, DueJob(Verb.POOL, 1))
        for key in list(finished.store.list(f"{last}/")):
            finished.store.delete(key)
    return job_folder(requests, state, DueJob(verb))


@pytest.mark.parametrize("verb", [Verb.BASE, Verb.POOL, Verb.FINETUNE])
def test_what_came_while_nobody_waited_is_verified_before_anything_is_built_on_it(
    finished: Finished, verb: Verb
) -> None:
    folder = take_back(finished, verb)
    result = load_record(finished.store, keys.result_key(folder), RESULT_TYPES[verb])
    assert result is not None
    finished.store.delete(result.files["weights"].key)
    state, verification = finished.from_the_start()
    assert [*verification.rejected] == [folder]
    assert finished.store.get(keys.result_key(folder)) is None
    assert DueJob(verb) in finished.due(state)


def test_so_is_what_the_data_check_found(finished: Finished) -> None:
    folder = take_back(finished, Verb.PREPARE)
    result = load_record(finished.store, keys.result_key(folder), RESULT_TYPES[Verb.PREPARE])
    assert result is not None
    missing = Artifact(key=f"{folder}/{'c' * 64}.json", size=1, sha256="c" * 64)
    files = {"listing": missing}
    finished.store.put(
        keys.result_key(folder), canonical_json(result.model_copy(update={"files": files}))
    )
    state, verification = finished.from_the_start()
    assert [*verification.rejected] == [folder]
    assert finished.due(state) == (DueJob(Verb.PREPARE),)


def trial_result(search: StoredSearch, index: int) -> DetectorResult:
    key = keys.result_key(keys.trial_folder(search.requests.search, index))
    result = load_record(search.store, key, DetectorResult)
    assert result is not None
    return result


def test_trials_are_verified_as_they_come_and_never_again(
    store: Store, scheduler: Scheduler, tmp_path: Path
) -> None:
    search = tiny(store, "one", trials=2, parallelism=2)
    waiting = Scheduler(tmp_path, unanswered={0, 1})
    waiting.run(search)
    verification = Verification(store)
    reader = SearchReader(store, search.requests, verification)
    reader.read()
    scheduler.run(search)
    store.delete(trial_result(search, 1).weights.key)
    in_flight = [proposal.index for proposal in reader.read().history.in_flight]
    folder = keys.trial_folder(search.requests.search, 1)
    assert (in_flight, [*verification.rejected]) == ([1], [folder])
    assert finished_trials(SearchReader(store, search.requests, verification).read()) == [0]


@pytest.mark.parametrize("doubted", [False, True], ids=["begun anew", "doubted"])
@pytest.mark.parametrize("lacking", ["weights", "scores"])
def test_so_are_trials_that_ended_unseen(
    store: Store, scheduler: Scheduler, tmp_path: Path, lacking: str, doubted: bool
) -> None:
    search = tiny(store, "one", trials=2, parallelism=2)
    Scheduler(tmp_path, unanswered={0, 1}).run(search)
    verification = Verification(store)
    reader = SearchReader(store, search.requests, verification)
    if doubted:
        reader.read()
        reader.invalidate_trials()
    scheduler.run(search)
    result, folder = trial_result(search, 1), keys.trial_folder(search.requests.search, 1)
    if lacking == "weights":
        store.delete(result.weights.key)
    else:
        torn = result.model_copy(update={"scores": ()})
        store.put(keys.result_key(folder), canonical_json(torn))
    state = reader.read()
    assert finished_trials(state) == [0]
    assert [*verification.rejected] == [folder]
    assert plan(state.observation, search.requests.spec).due == (DueJob(Verb.EVALUATE, 1),)


def test_weights_that_were_collected_are_not_asked_for_after_a_restart(
    store: Store, scheduler: Scheduler
) -> None:
    search = tiny(store, "one", trials=9, topK=1, parallelism=1)
    scheduler.run(search)
    store.delete(keys.ledger_snapshot(search.requests.search))  # all of them are read one by one
    kept = [index for index in range(9) if store.size(trial_result(search, index).weights.key)]
    assert len(kept) < 9
    verification = Verification(store)
    state = SearchReader(store, search.requests, verification).read()
    assert finished_trials(state) == list(range(9))
    assert verification.rejected == {}


def finished_trials(state: SearchState) -> list[int]:
    return sorted(state.history.unsegmented)
