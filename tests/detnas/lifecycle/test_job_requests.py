"""Requests are written once, and updated with the location of the data."""

from pathlib import Path

import pytest

from detnas.lifecycle.job_requests import JobRequests
from detnas.lifecycle.reading.state import SearchReader
from detnas.plan.stages import JobId
from detnas.records import keys
from detnas.records.artifacts import Artifact
from detnas.records.requests import PoolPhaseRequest
from detnas.records.results import PrepareResult
from detnas.records.verbs import Verb
from detnas.store import Store
from detnas.store.artifacts import load_record
from detnas.store.errors import StoreUnavailable
from tests.detnas.searches.in_process import Scheduler, session_of, tiny
from tests.detnas.searches.results import prepared


def lose_next_answer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next object be created and its writer get an error."""
    create = store.put_if_absent

    def lose(key: str, data: bytes) -> None:
        monkeypatch.setattr(store, "put_if_absent", create)
        create(key, data)
        raise StoreUnavailable("no answer")

    monkeypatch.setattr(store, "put_if_absent", lose)


def test_propose_keeps_a_trial_whose_write_succeeded_without_an_answer(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = tiny(store, "one", trials=4, parallelism=2)
    Scheduler(tmp_path, unanswered={0, 1}).run(search)
    session = session_of(search)
    end_trial(0, search.requests.search, store, tmp_path)
    session.refresh()

    lose_next_answer(store, monkeypatch)
    with pytest.raises(StoreUnavailable):
        list(session.propose(1))
    decided = store.get(keys.request_key(keys.trial_folder(search.requests.search, 2)))
    end_trial(1, search.requests.search, store, tmp_path)  # now trial 2 would be another one
    state = session.refresh()

    assert [proposal.index for proposal in state.history.in_flight] == [2]
    assert [job_id.number for job_id in session.propose(1)] == [3]
    kept = store.get(keys.request_key(keys.trial_folder(search.requests.search, 2)))
    assert kept == decided


def test_record_of_a_pool_phase_begun_by_another_search_names_own_data_and_listing(
    store: Store,
) -> None:
    """The other search may have been deleted, and its listing with it."""
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
    assert one.image_listing != two.image_listing
    assert two.image_listing is not None
    assert two.image_listing.key.startswith("local/searches/two-")


def with_listing(search: str) -> PrepareResult:
    """Return a data check's result: the same for all searches, with a listing of their own."""
    listing = Artifact(key=f"{search}/prepare/{'1' * 64}.json", size=1, sha256="1" * 64)
    return prepared().model_copy(update={"files": {"pictures": listing}})


def end_trial(number: int, search: str, store: Store, scratch: Path) -> None:
    """Write the result of a trial."""
    folder = keys.trial_folder(search, number)
    Scheduler(scratch).finish(store, JobId(Verb.EVALUATE, number), folder)
