"""Trials are decided once, whatever the store answers."""

from pathlib import Path

import pytest

from detnas.lifecycle.job_requests import JobRequests
from detnas.lifecycle.reading.state import SearchReader
from detnas.plan.stages import DueJob, Verb
from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.records.requests import PoolPhaseRequest
from detnas.records.results import PrepareResult
from detnas.store import Store
from detnas.store.artifacts import load_record
from detnas.store.errors import StoreUnavailable
from tests.detnas.lifecycle.pretended_searches import Scheduler, tiny
from tests.detnas.plan.searches import prepared


def lose_next_answer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next object be created, and its writer be told that the store is away."""
    create = store.put_if_absent

    def lose(key: str, data: bytes) -> None:
        monkeypatch.setattr(store, "put_if_absent", create)
        create(key, data)
        raise StoreUnavailable("no answer")

    monkeypatch.setattr(store, "put_if_absent", lose)


def test_a_trial_that_was_written_without_our_knowing_is_not_decided_anew(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = tiny(store, "one", trials=4, parallelism=2)
    Scheduler(tmp_path, unanswered={0, 1}).run(search)
    reader = SearchReader(store, search.requests)
    requesting = JobRequests(store, search.requests, reader)
    end_trial(0, search.requests.search, store, tmp_path)
    reader.read()

    lose_next_answer(store, monkeypatch)
    with pytest.raises(StoreUnavailable):
        list(requesting.propose(1))
    decided = store.get(keys.request_key(keys.trial_folder(search.requests.search, 2)))
    end_trial(1, search.requests.search, store, tmp_path)  # now trial 2 would be another one
    state = reader.read()

    assert [proposal.index for proposal in state.history.in_flight] == [2]
    assert [proposal.index for proposal in requesting.propose(1)] == [3]
    kept = store.get(keys.request_key(keys.trial_folder(search.requests.search, 2)))
    assert kept == decided


def test_a_pool_that_another_search_began_goes_on_with_our_data_and_listing(store: Store) -> None:
    """The other search may be deleted by then, and its listing with it."""
    recorded = []
    for name in ("one", "two"):
        search = tiny(store, name)
        reader = SearchReader(store, search.requests)
        request = search.requests.pool_phase(with_listing(search.requests.search), ())
        JobRequests(store, search.requests, reader).record(request)
        recorded.append(load_record(store, keys.request_key(request.key), PoolPhaseRequest))
    one, two = recorded
    assert one is not None
    assert two is not None
    assert one.key == two.key
    assert one.pictures != two.pictures
    assert two.pictures is not None
    assert two.pictures.key.startswith("local/searches/two-")


def with_listing(search: str) -> PrepareResult:
    """What a search's data check found: the same for all, each with a listing of its own."""
    listing = Artifact(key=f"{search}/prepare/{'1' * 64}.json", size=1, sha256="1" * 64)
    return prepared().model_copy(update={"files": {"pictures": listing}})


def end_trial(number: int, search: str, store: Store, scratch: Path) -> None:
    """Answer a trial."""
    folder = keys.trial_folder(search, number)
    Scheduler(scratch)._finish(store, DueJob(Verb.EVALUATE, number), folder)
