"""What an event does to the cache and the queue."""

from typing import Any

import pytest

from detnas_operator.cluster.cache import ClusterCache, SearchKey
from detnas_operator.frame.handlers import EventHandlers
from tests.operator.frame.test_cache import KEY, job, search


class Told:
    """Handlers, and what they asked for."""

    def __init__(self) -> None:
        self.cache = ClusterCache()
        self.passes: list[SearchKey] = []
        self.found: list[SearchKey] = []
        self.lists = 0
        self.handlers = EventHandlers(self.cache, self.passes.append, self.found.append, self._list)

    def _list(self) -> None:
        self.lists += 1


@pytest.fixture
def told() -> Told:
    return Told()


def test_only_news_asks_for_a_pass(told: Told) -> None:
    told.handlers.search("ADDED", search(1))
    told.handlers.search("MODIFIED", search(1))
    told.handlers.job("ADDED", job("r18-base", 2))
    told.handlers.job("MODIFIED", job("r18-base", 2))
    told.handlers.job("DELETED", job("r18-base", 3))
    told.handlers.search("DELETED", search(4))
    assert told.passes == [KEY] * 4
    assert told.cache.search(KEY) is None


def test_what_is_listed_is_told_apart_from_what_happened(told: Told) -> None:
    told.handlers.search(None, search(1))
    told.handlers.job(None, job("r18-base", 2))
    assert (told.found, told.passes) == ([KEY] * 2, [])
    told.handlers.job("MODIFIED", job("r18-base", 3))
    assert (told.found, told.passes) == ([KEY] * 2, [KEY])


def test_the_first_list_of_a_watch_is_nothing_special(told: Told) -> None:
    for name in "abc":
        told.handlers.job(None, job(name, 1))
    told.handlers.search(None, search(1))
    assert told.lists == 0


@pytest.mark.parametrize("first", [None, "ADDED"])
def test_a_watch_that_starts_over_is_noticed_once(told: Told, first: str | None) -> None:
    for name in "abc":
        told.handlers.job(first, job(name, 1))
    for name in "abc":
        told.handlers.job(None, job(name, 1))
    assert told.lists == 1
    for name in "abc":
        told.handlers.job(None, job(name, 1))
    assert told.lists == 2


def test_what_was_deleted_and_made_anew_is_not_taken_for_a_second_list(told: Told) -> None:
    told.handlers.job(None, job("a", 1))
    told.handlers.job("DELETED", job("a", 2))
    told.handlers.job(None, job("a", 3, uid="new"))
    assert told.lists == 0


def test_jobs_of_others_are_left_alone(told: Told) -> None:
    other: dict[str, Any] = job("other", 1)
    del other["metadata"]["ownerReferences"]
    told.handlers.job("ADDED", other)
    told.handlers.job("DELETED", other)
    assert told.passes == []
