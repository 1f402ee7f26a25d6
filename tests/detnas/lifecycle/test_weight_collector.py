"""Weights that are deleted, and those that stay because their trials are not read again."""

from pathlib import Path
from typing import Any

import pytest

from detnas.ledger.summary import needed
from detnas.lifecycle.record import StoredSearch
from detnas.lifecycle.weight_collector import WeightCollector
from detnas.spec.search import Retention
from detnas.store import Store
from tests.detnas.searches.in_process import Scheduler, tiny

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
