"""JobSets are listed where they are served and may be read, and nobody waits for them otherwise."""

import time
from typing import Any

import pytest

from detnas_operator.cluster import KubernetesClient, NotFound, Refused, Snapshot
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.job_lists import NOT_SERVED
from detnas_operator.controller import relisting
from detnas_operator.controller.relisting import Relisting
from tests.operator.cluster.test_cache import KEY, job, search
from tests.operator.cluster.test_jobsets import NAME, jobset

ABSENT = NotFound("list jobsets: 404 page not found", status=404)
FORBIDDEN = Refused("list jobsets: it cannot be listed", status=403)


class Lists(KubernetesClient):
    """Answers lists from memory, or with an error for JobSets."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked = 0

    def snapshot(self, kind: str, namespace: str | None, slim: Any = None) -> Snapshot:
        if kind != "jobsets":
            listed = {"detnassearches": search(1), "jobs": job("r18-base", 2)}
            return Snapshot((listed[kind],), "9")
        self.asked += 1
        if self.error:
            raise self.error
        return Snapshot((jobset(3),), "9")


@pytest.fixture
def lists() -> Lists:
    return Lists()


@pytest.fixture
def cache() -> ClusterCache:
    return ClusterCache()


@pytest.fixture
def relists(lists: Lists, cache: ClusterCache, monkeypatch: pytest.MonkeyPatch) -> Relisting:
    monkeypatch.setattr(relisting, "ABSENT_PAUSE_SECONDS", 0.2)
    scopes = ("team", "other")
    return Relisting(lists, cache, lambda _: None, lambda *_: None, scopes, seconds=300)


def test_jobsets_are_listed_with_jobs(
    lists: Lists, cache: ClusterCache, relists: Relisting
) -> None:
    changed, versions = relists.refresh("team")
    assert (changed, set(versions)) == ({KEY}, {"detnassearches", "jobs", "jobsets"})
    assert set(cache.jobs(KEY, "s1")) == {"r18-base", NAME}
    assert cache.jobsets_problem("team") == ""
    assert lists.asked == 1


def test_api_server_without_jobsets_is_asked_seldom_and_later_again(
    lists: Lists, cache: ClusterCache, relists: Relisting
) -> None:
    lists.error = ABSENT
    for scope in ("team", "other", "team"):
        assert set(relists.refresh(scope)[1]) == {"detnassearches", "jobs"}
    assert lists.asked == 1, "for all namespaces"
    assert cache.jobsets_problem("team") == cache.jobsets_problem("other") == NOT_SERVED
    lists.error = None
    time.sleep(0.25)
    relists.refresh("team")
    assert cache.jobsets_problem("team") == ""


def test_jobsets_that_are_no_longer_served_are_gone(
    lists: Lists, cache: ClusterCache, relists: Relisting
) -> None:
    relists.refresh("team")
    lists.error = ABSENT
    relists.refresh("team")
    assert set(cache.jobs(KEY, "s1")) == {"r18-base"}
    assert cache.jobsets_problem("team")


def test_searches_do_not_wait_for_a_right_to_list_jobsets(
    lists: Lists, cache: ClusterCache, relists: Relisting
) -> None:
    lists.error = FORBIDDEN
    relists.refresh("team")
    assert set(cache.jobs(KEY, "s1")) == {"r18-base"}
    assert "cannot be listed" in cache.jobsets_problem("team")


def test_known_jobsets_are_kept_while_they_must_not_be_listed(
    lists: Lists, cache: ClusterCache, relists: Relisting
) -> None:
    relists.refresh("team")
    lists.error = FORBIDDEN
    with pytest.raises(Refused):
        relists.refresh("team")
    assert NAME in cache.jobs(KEY, "s1"), "another would be started beside it"
