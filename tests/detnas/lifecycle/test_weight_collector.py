"""Weights that are deleted, and those that stay because their trials are not read again."""

from pathlib import Path
from typing import Any

import pytest

from detnas.ledger.history import load_snapshot_history
from detnas.ledger.summary import needed
from detnas.lifecycle.record import StoredSearch
from detnas.lifecycle.weight_collector import WeightCollector
from detnas.spec.search import Retention
from detnas.store import Store
from tests.detnas.lifecycle.test_job_requests import end_trial
from tests.detnas.searches.in_process import Scheduler, session_of, tiny

MANY: dict[str, Any] = {"trials": 13, "parallelism": 1, "patience": 100}


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detnas.ledger.segments.SEGMENT", 4)


def trials_with_weights(search: StoredSearch) -> set[int]:
    folder = f"{search.requests.search}/trials/"
    names = [name.removeprefix(folder) for name in search.store.list(folder)]
    return {int(name.partition("/")[0]) for name in names if name.endswith(".safetensors")}


def test_collect_deletes_weights_of_trials_that_complete_a_segment(
    store: Store, tmp_path: Path
) -> None:
    search = tiny(store, "one", **MANY)
    history = Scheduler(tmp_path).run(search).history
    stays = needed(history.summary, ())
    assert history.segments == {0, 1, 2}
    assert {3, 7, 11} - stays, "one of those has to go"
    assert trials_with_weights(search) == stays


def test_collect_leaves_weights_of_trials_segmented_before(store: Store, tmp_path: Path) -> None:
    """The documented limit of `retention.weights`: it counts from when it is set."""
    search = tiny(store, "one", {"retention": {"weights": "All"}}, **MANY)
    state = Scheduler(tmp_path).run(search)
    assert trials_with_weights(search) == set(range(13))
    assert state.scorer is not None
    collector = WeightCollector(store, search.requests.search, Retention(weights="Needed"))
    collector.collect(state.history, state.scorer)
    assert trials_with_weights(search) == set(range(12)) | needed(state.history.summary, ())


def test_collect_after_a_restart_asks_for_no_weights_of_the_snapshot(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detnas.ledger.segments.SEGMENT", 100)
    search = tiny(store, "one", **{**MANY, "topK": 1})
    Scheduler(tmp_path).run(search)
    restarted, asked, size = session_of(search), list[str](), store.size

    def noted(key: str) -> int | None:
        asked.append(key)
        return size(key)

    history = restarted.refresh().history
    monkeypatch.setattr(store, "size", noted)
    restarted.tidy()
    folder = search.requests.search
    newer = range(history.in_snapshot, 13)
    parents = {history.unsegmented[index].proposal.parent for index in newer}
    retained = needed(load_snapshot_history(store, folder, top_k=1).summary, ())
    names = [key.removeprefix(f"{folder}/trials/").partition("/")[0] for key in asked]
    assert set(map(int, names)) <= parents | retained | {*newer}
    assert len(parents | retained | {*newer}) < 10


def test_collect_after_a_restart_deletes_what_only_a_trial_in_flight_needed(
    store: Store, tmp_path: Path
) -> None:
    """A trial that ends while no process runs sets its parent free, and others displace."""
    search = tiny(store, "one", **{**MANY, "trials": 30, "topK": 1, "parallelism": 3})
    Scheduler(tmp_path, unanswered=range(30)).run(search)
    folder = search.requests.search
    while running := session_of(search).refresh().history.in_flight:
        end_trial(running[-1].index, folder, store, tmp_path)
        restarted = session_of(search)
        history = restarted.refresh().history
        restarted.tidy()
        assert trials_with_weights(search) == needed(history.summary, history.in_flight)
        list(restarted.propose(1))
