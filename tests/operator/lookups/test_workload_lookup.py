"""Workloads are listed once for a namespace, seldom, and only where Kueue is installed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from detnas_operator.cluster import NotFound, Refused
from detnas_operator.cluster.objects import JobView
from detnas_operator.job_state.queueing import ObservedWorkload
from detnas_operator.lookups import workload_lookup
from detnas_operator.lookups.workload_lookup import (
    ABSENT_PAUSE_SECONDS,
    PAUSE_SECONDS,
    WorkloadLookup,
)

KUEUE_BEFORE_0_15 = ("workloads/v1beta1",)


def a_job(uid: str, version: str = "1") -> JobView:
    return JobView({"metadata": {"name": uid, "uid": uid, "resourceVersion": version}})


def a_workload(uid: str) -> dict[str, Any]:
    owners = [{"uid": uid}]
    return {"metadata": {"name": f"job-{uid}", "ownerReferences": owners}, "spec": {}}


@dataclass
class Cluster:
    """What the API server would answer."""

    workloads: list[str] = field(default_factory=list)
    served: tuple[str, ...] = ("workloads", "workloads/v1beta1")
    refuses: bool = False
    now: float = 1000.0
    lists: list[tuple[str, str | None]] = field(default_factory=list)

    def list(
        self,
        kind: str,
        namespace: str | None,
        selector: str = "",
        fields: str = "",
        *,
        max_bytes: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        self.lists.append((kind, namespace))
        if self.refuses:
            raise Refused("workloads is forbidden", "grant it", status=403)
        if kind not in self.served:
            raise NotFound("the server could not find the requested resource", status=404)
        yield from map(a_workload, self.workloads)

    def lookup(self) -> WorkloadLookup:
        return WorkloadLookup(self, lambda: self.now)


def test_workload_lookup_finds_workloads_by_owner_in_a_shared_list() -> None:
    cluster = Cluster(["1", "2", "foreign"])
    lookup = cluster.lookup()
    found = lookup.look_up("a", [a_job("1")])
    assert found["1"].workload
    assert found["1"].workload.name == "job-1"
    for _ in range(10):
        assert set(lookup.look_up("a", [a_job("2")])) == {"2"}
    assert len(cluster.lists) == 1
    cluster.now += PAUSE_SECONDS + 1
    lookup.look_up("a", [a_job("2")])
    assert len(cluster.lists) == 2


def test_workload_lookup_lists_sooner_after_a_job_has_changed() -> None:
    cluster = Cluster(["1"])
    lookup = cluster.lookup()
    lookup.look_up("a", [a_job("1")])
    cluster.now += PAUSE_SECONDS / 2
    lookup.look_up("a", [a_job("1")])
    assert len(cluster.lists) == 1
    lookup.look_up("a", [a_job("1", "2")])
    assert len(cluster.lists) == 2


def test_workload_lookup_without_suspended_jobs_lists_nothing() -> None:
    cluster = Cluster()
    assert cluster.lookup().look_up("a", []) == {}
    assert cluster.lists == []


def test_workload_lookup_reports_absence_only_after_a_pause() -> None:
    cluster = Cluster()
    lookup = cluster.lookup()
    assert lookup.look_up("a", [a_job("1")]) == {}
    cluster.now += PAUSE_SECONDS + 1
    assert lookup.look_up("a", [a_job("1")]) == {"1": ObservedWorkload()}


def test_workload_lookup_reads_an_older_version() -> None:
    cluster = Cluster(["1"], served=KUEUE_BEFORE_0_15)
    assert cluster.lookup().look_up("a", [a_job("1")])["1"].workload


def test_workload_lookup_seldom_lists_without_kueue() -> None:
    cluster = Cluster(served=())
    lookup = cluster.lookup()
    for _ in range(20):
        lookup.look_up("a", [a_job("1")])
        found = lookup.look_up("b", [a_job("2")])
        cluster.now += PAUSE_SECONDS + 1
    assert found == {"2": ObservedWorkload()}
    assert len(cluster.lists) == 2  # one in each version
    cluster.now += ABSENT_PAUSE_SECONDS
    lookup.look_up("a", [a_job("1")])
    assert len(cluster.lists) == 4


def test_workload_lookup_distinguishes_refused_from_absent() -> None:
    cluster = Cluster(refuses=True)
    lookup = cluster.lookup()
    lookup.look_up("a", [a_job("1")])
    cluster.now += PAUSE_SECONDS + 1
    (found,) = lookup.look_up("a", [a_job("1")]).values()
    assert "forbidden" in found.unread


def test_workload_lookup_reports_a_list_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload_lookup, "MAX_WORKLOADS", 2)
    cluster = Cluster(["3", "2", "1"])
    lookup = cluster.lookup()
    lookup.look_up("a", [a_job("1")])
    cluster.now += PAUSE_SECONDS + 1
    (found,) = lookup.look_up("a", [a_job("1")]).values()
    assert "more than" in found.unread


def test_workload_lookup_bounds_the_rate_of_all_lists() -> None:
    cluster = Cluster(["1"])
    lookup = cluster.lookup()
    for number in range(100):
        lookup.look_up(f"ns-{number}", [a_job("1")])
    assert len(cluster.lists) == 1
