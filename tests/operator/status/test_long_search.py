"""The status of a search with ten thousand finished trials."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from detnas.ledger import LedgerEntry, Summary
from detnas.ledger.history import History, write_segments
from detnas.lifecycle.reading.state import SearchReader
from detnas.lifecycle.record import StoredSearch
from detnas.lifecycle.search_status import search_status
from detnas.plan.stages import JobId
from detnas.records import keys
from detnas.records.progress import Progress
from detnas.records.verbs import Verb
from detnas.resource.status import MAX_STATUS_BYTES
from detnas.spec.search import MAX_TRIALS
from detnas.store.directory import DirectoryStore
from detnas.store.record_format import encode_record
from detnas_operator.status.resource_status import resource_status
from tests.cluster.api import SEARCHES
from tests.cluster.control_plane import ControlPlane
from tests.cluster.searches import manifest
from tests.detnas.searches.in_process import Scheduler, tiny
from tests.detnas.trials import result_of, searched
from tests.operator.status.pass_results import NOW, RUNNING, job, pass_result

IN_FLIGHT = 64
FINISHED = MAX_TRIALS - 100
SIMULATED = 400
AT_ONCE = FINISHED // 3
"""Trials that are packed together: one by one takes many times as long."""
SETTINGS: dict[str, Any] = {
    "trials": MAX_TRIALS,
    "patience": 1_000_000,
    "parallelism": IN_FLIGHT,
    "topK": 20,
}
WORDS = "RuntimeError: CUDA error: an illegal memory access was encountered\n" * 59
"""Of every failed trial: about as many as an entry keeps."""


@pytest.fixture(scope="module")
def status(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """As the operator writes it right after a start."""
    folder = tmp_path_factory.mktemp("long")
    search = tiny(DirectoryStore(folder / "store"), "long", **SETTINGS)
    scheduler = Scheduler(folder, unanswered=range(FINISHED + IN_FLIGHT))
    scheduler.run(search)
    write_ledger(search)
    scheduler.run(search)
    state = SearchReader(search.store, search.requests).read()
    assert state.history.summary.finished_count == FINISHED
    due = [JobId(Verb.EVALUATE, trial.index) for trial in state.history.in_flight]
    assert len(due) == IN_FLIGHT
    result = pass_result(
        search_status(search, state, lambda _folder: PROGRESS),
        jobs={one: job(one, RUNNING) for one in due},
        gpu_seconds=1e8,
    )
    return resource_status(result, {}, NOW)


def test_status_of_a_long_search_is_small_and_counts_all_trials(status: dict[str, Any]) -> None:
    assert len(json.dumps(status).encode()) < MAX_STATUS_BYTES
    trials = status["trials"]
    ended = ("succeeded", "invalid", "outOfMemory", "diverged", "infrastructure")
    assert sum(trials[how] for how in ended) == FINISHED
    assert min(trials[how] for how in ended) > 0
    assert trials["active"] == IN_FLIGHT
    assert trials["finished"] == FINISHED - trials["infrastructure"]
    assert status["best"]["trial"] == status["top"][0]["trial"]
    assert [len(status[several]) for several in ("active", "top", "failures")] == [50, 10, 5]
    assert all("illegal memory access" in one["message"] for one in status["failures"])
    assert {one["loss"] for one in status["active"]} == {"0.5123"}


def test_api_server_stores_the_status_unchanged(
    status: dict[str, Any], cluster: ControlPlane, namespace: str
) -> None:
    cluster.api.create(manifest("long"), namespace)
    patch = {"status": status}
    assert cluster.api.patch(SEARCHES, namespace, "long", patch, "status")["status"] == status


PROGRESS = Progress(
    activity="training",
    done=1_234,
    total=100_000,
    epoch=1,
    epochs=3,
    loss=0.51234,
    seconds_left=86_400,
    updated=NOW,
)


def write_ledger(search: StoredSearch) -> None:
    """Write what a scheduler has written after so many trials: segments, and parents' results."""
    store, folder = search.store, search.requests.search
    history = History(Summary(top_k=search.requests.spec.search.top_k))
    for entry in entries():
        history = history.with_entry(entry)
        if len(history.unsegmented) == AT_ONCE:
            history = write_segments(store, folder, history)
    for entry in history.summary.top:
        key = keys.result_key(keys.trial_folder(folder, entry.index))
        store.put(key, encode_record(result_of(entry)))


def entries() -> Iterator[LedgerEntry]:
    """Finished trials: a simulated search, again and again."""
    simulated = searched(SIMULATED).entries
    for number in range(FINISHED):
        entry = simulated[number % SIMULATED]
        proposal = entry.proposal.model_copy(update={"index": number})
        message = "" if entry.succeeded else WORDS
        yield entry.model_copy(update={"proposal": proposal, "message": message})
