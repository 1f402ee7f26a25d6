"""One look at a namespace serves all its searches; what stays the same is listed less often."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from detnas_operator.cluster import Unavailable
from detnas_operator.cluster.objects import JobView, Object
from detnas_operator.cluster.pods import JOBS_A_LIST
from detnas_operator.lookups.pod_lookup import (
    MAX_PAUSE_SECONDS,
    MIN_PAUSE_SECONDS,
    PodLookup,
)


@dataclass
class Cluster:
    """Lists what it holds, and counts that; `now` is the time.

    Attributes:
        lists: kind and selectors of each list.
        takes: seconds that a list takes.
    """

    pods: list[Object] = field(default_factory=list)
    events: list[Object] = field(default_factory=list)
    created: list[Object] = field(default_factory=list)
    lists: list[tuple[str, str, str, str]] = field(default_factory=list)
    now: float = 0.0
    takes: float = 0.0
    away: bool = False

    def clock(self) -> float:
        return self.now

    def list(
        self,
        kind: str,
        namespace: str | None,
        selector: str = "",
        fields: str = "",
        *,
        max_bytes: int | None = None,
    ) -> Iterator[Object]:
        assert max_bytes
        if self.away:
            raise Unavailable("the server fails", status=500)
        self.now += self.takes
        self.lists.append((kind, str(namespace), selector, fields))
        if kind == "pods":
            return iter(self.pods)
        return iter(self.created if "SuccessfulCreate" in fields else self.events)


def a_job(uid: str, version: int = 1) -> JobView:
    return JobView({"metadata": {"uid": uid, "resourceVersion": str(version)}, "spec": {}})


def a_pod(uid: str, job: str, **metadata: Any) -> Object:
    owners = [{"kind": "Job", "uid": job, "controller": True}]
    return {"metadata": {"name": uid, "uid": uid, "ownerReferences": owners, **metadata}}


def an_event(uid: str, reason: str, second: int, message: str = "") -> Object:
    return {
        "reason": reason,
        "message": message or reason,
        "involvedObject": {"uid": uid},
        "lastTimestamp": f"2026-11-22T12:00:{second:02}Z",
    }


def test_pod_lookup_of_a_thousand_searches_makes_a_few_lists_a_minute() -> None:
    cluster = Cluster()
    lookup = PodLookup(cluster, cluster.clock)
    jobs = [a_job(f"job-{number}") for number in range(1000)]
    for second in range(600):
        cluster.now = float(second)
        for job in jobs[second % 10 :: 10]:  # each search asks every 10 s
            lookup.look_up("team-a", [job])
    later = [call for call in cluster.lists if call[0] == "events"]
    assert len(later) <= 15
    assert len(cluster.lists) <= 15 * (1 + 1000 / JOBS_A_LIST + 1)


def test_pod_lookup_is_shared_by_searches_of_a_namespace() -> None:
    cluster = Cluster(pods=[a_pod("pod-1", "one"), a_pod("pod-2", "two")])
    lookup = PodLookup(cluster, cluster.clock)
    lookup.look_up("team-a", [a_job("one")])
    cluster.now = MIN_PAUSE_SECONDS
    for uid in ("two", "three"):
        lookup.look_up("team-a", [a_job(uid)])
    cluster.now = 2 * MIN_PAUSE_SECONDS
    lookup.look_up("team-a", [a_job("three")])
    cluster.now = 3 * MIN_PAUSE_SECONDS
    seen = lookup.look_up("team-a", [a_job("one")])
    assert [len(seen.pods_of(a_job(uid))) for uid in ("one", "two", "three")] == [1, 1, 0]
    assert len(cluster.lists) == 2 * 4
    lookup.look_up("team-b", [a_job("one")])
    assert len(cluster.lists) == 2 * 5


def test_pod_lookup_lists_less_often_until_a_job_changes() -> None:
    cluster, times = Cluster(), []
    lookup = PodLookup(cluster, cluster.clock)
    for second in range(600):
        cluster.now, before = float(second), len(cluster.lists)
        lookup.look_up("team-a", [a_job("one", version=2 if second > 500 else 1)])
        if len(cluster.lists) > before:
            times.append(second)
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses[0] == MIN_PAUSE_SECONDS
    assert max(pauses) == MAX_PAUSE_SECONDS
    changed = next(second for second in times if second > 500)
    assert changed - 500 <= MIN_PAUSE_SECONDS


def test_pod_lookup_lists_less_often_on_a_slow_server() -> None:
    cluster = Cluster(takes=1.0)
    lookup = PodLookup(cluster, cluster.clock)
    lookup.look_up("team-a", [a_job("one")])
    cluster.now += 30
    lookup.look_up("team-a", [a_job("one", version=2)])
    assert len(cluster.lists) == 2
    cluster.now += 10
    lookup.look_up("team-a", [a_job("one", version=2)])
    assert len(cluster.lists) == 4


def test_pod_lookup_bounds_the_rate_of_all_lists() -> None:
    cluster = Cluster()
    lookup = PodLookup(cluster, cluster.clock)
    for second in range(60):
        cluster.now = float(second)
        for number in range(300):
            lookup.look_up(f"team-{number}", [a_job(f"{number}", version=second)])
    assert len(cluster.lists) <= PodLookup.burst + 60 * PodLookup.rate + 2


def test_pod_lookup_forgets_namespaces_in_which_nothing_waits() -> None:
    cluster = Cluster()
    lookup = PodLookup(cluster, cluster.clock)
    for number in range(300):
        cluster.now += 1
        lookup.look_up(f"team-{number}", [a_job(f"{number}")])
    assert len(lookup.namespaces()) == 300
    cluster.now += 10 * MAX_PAUSE_SECONDS + 1
    lookup.look_up("team-7", [a_job("new")])
    assert lookup.namespaces() == ["team-7"]


def test_pod_lookup_finds_pods_by_owner_without_their_annotations() -> None:
    large = {"note": "x" * 250_000, "batch.kubernetes.io/job-completion-index": "3"}
    pod = a_pod("pod-1", "one", labels={"detnas.dev/search": "other"}, annotations=large)
    cluster = Cluster(pods=[pod, a_pod("pod-2", "foreign")])
    (kept,) = (
        PodLookup(cluster, cluster.clock).look_up("team-a", [a_job("one")]).pods_of(a_job("one"))
    )
    assert kept.annotations == {"batch.kubernetes.io/job-completion-index": "3"}
    assert len(str(kept)) < 1000
    ((_, _, selector, _), *_) = cluster.lists
    assert selector == "batch.kubernetes.io/controller-uid in (one)"


def test_pod_lookup_keeps_events_of_its_pods_in_order() -> None:
    events = [
        an_event("pod-1", "FailedMount", 9, "y" * 100_000),
        an_event("pod-1", "FailedScheduling", 3),
        an_event("stranger", "FailedMount", 4),
    ]
    cluster = Cluster(pods=[a_pod("pod-1", "one")], events=events)
    seen = PodLookup(cluster, cluster.clock).look_up("team-a", [a_job("one")])
    (pod,) = seen.pods_of(a_job("one"))
    told = seen.events[pod.uid]
    assert [event.reason for event in told] == ["FailedScheduling", "FailedMount"]
    assert len(told[-1].message) < 3000
    assert set(seen.events) == {"pod-1"}


@pytest.mark.parametrize(("created", "refusal"), [(3, "exceeded quota"), (5, "")])
def test_pod_lookup_reports_a_refusal_until_a_pod_is_created(created: int, refusal: str) -> None:
    cluster = Cluster(
        events=[an_event("one", "FailedCreate", 4, "exceeded quota")],
        created=[an_event("one", "SuccessfulCreate", created)],
    )
    seen = PodLookup(cluster, cluster.clock).look_up("team-a", [a_job("one")])
    assert seen.refusal(a_job("one")) == refusal


def test_pod_lookup_raises_a_failure_to_each_search_and_retries() -> None:
    cluster = Cluster(pods=[a_pod("pod-1", "one")])
    lookup = PodLookup(cluster, cluster.clock)
    lookup.look_up("team-a", [a_job("one")])
    cluster.away, cluster.now = True, 60.0
    for uid in ("one", "two"):
        with pytest.raises(Unavailable):
            lookup.look_up("team-a", [a_job(uid)])
    cluster.away, cluster.now = False, 63.0
    assert lookup.look_up("team-a", [a_job("one")]).pods_of(a_job("one"))


def test_pod_lookup_never_waits_for_another_pass() -> None:
    began, go = threading.Event(), threading.Event()

    class Slow(Cluster):
        def list(self, *arguments: Any, **options: Any) -> Iterator[Object]:
            began.set()
            assert go.wait(10)
            return super().list(*arguments, **options)

    cluster = Slow(pods=[a_pod("pod-1", "one")])
    lookup = PodLookup(cluster, cluster.clock)
    thread = threading.Thread(target=lookup.look_up, args=("team-a", [a_job("one")]))
    thread.start()
    assert began.wait(10)
    assert not lookup.look_up("team-a", [a_job("one")]).pods_of(a_job("one"))
    go.set()
    thread.join(10)
    assert lookup.look_up("team-a", [a_job("one")]).pods_of(a_job("one"))
