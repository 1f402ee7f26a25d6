"""What an event does to the cache and the queue."""

from typing import Any

import pytest

from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.searches import SearchKey
from detnas_operator.controller.watching import EventHandlers
from tests.operator.cluster.test_cache import KEY, job, search


class Told:
    """Handlers, and what they asked for.

    Attributes:
        passes: the keys, in order.
        urgent: whether each was urgent.
    """

    def __init__(self) -> None:
        self.cache = ClusterCache()
        self.passes: list[SearchKey] = []
        self.urgent: list[bool] = []
        self.handlers = EventHandlers(self.cache, self._enqueue)

    def _enqueue(self, key: SearchKey, *, urgent: bool) -> None:
        self.passes.append(key)
        self.urgent.append(urgent)


@pytest.fixture
def told() -> Told:
    return Told()


def test_handlers_enqueue_a_search_only_for_changes(told: Told) -> None:
    told.handlers.search("ADDED", search(1))
    told.handlers.search("MODIFIED", search(1))
    told.handlers.job("ADDED", job("r18-base", 2))
    told.handlers.job("MODIFIED", job("r18-base", 2))
    told.handlers.job("DELETED", job("r18-base", 3))
    told.handlers.search("DELETED", search(4))
    assert told.passes == [KEY] * 4
    assert told.cache.search(KEY) is None


def test_handlers_ignore_jobs_without_an_owner(told: Told) -> None:
    other: dict[str, Any] = job("other", 1)
    del other["metadata"]["ownerReferences"]
    told.handlers.job("ADDED", other)
    told.handlers.job("DELETED", other)
    assert told.passes == []


def test_handlers_let_an_ended_job_precede_one_that_only_runs(told: Told) -> None:
    told.handlers.job("ADDED", job("r18-t0000", 1))
    told.handlers.job("MODIFIED", {**job("r18-t0000", 2), "status": {"active": 1, "ready": 1}})
    complete = {"conditions": [{"type": "Complete", "status": "True"}]}
    told.handlers.job("MODIFIED", {**job("r18-t0000", 3), "status": complete})
    assert told.urgent == [False, False, True]
