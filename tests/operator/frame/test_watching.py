"""What happens in the cluster reaches a pass, with the rights the chart gives, whatever breaks."""

import time
from typing import Any

import pytest

from detnas_operator.cluster.cache import SearchKey
from detnas_operator.queue.work_queue import Requeue
from tests.cluster.api import JOBS, SEARCHES
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.faults import Call, Fault, Journal, Refuse
from tests.cluster.searches import manifest
from tests.cluster.waiting import eventually
from tests.operator.frame.conftest import Start
from tests.operator.frame.proxy import proxy_of
from tests.operator.frame.seeing import health, owned_job, see_by_watch, suspend


@pytest.mark.parametrize(
    "installation",
    [{"clusterWide": False}, {"clusterWide": True}],
    indirect=True,
    ids=["namespaces", "cluster-wide"],
)
def test_searches_and_their_jobs_lead_to_passes(
    frame: Start, cluster: ControlPlane, namespace: str
) -> None:
    key = SearchKey(namespace, "r18")
    with frame() as running:
        owner = cluster.api.create(manifest("r18"), namespace)
        eventually(lambda: running.notes.of(key))
        suspend(cluster, key)
        eventually(lambda: running.notes.of(key)[-1].suspend)
        cluster.api.create(owned_job("r18-base", owner), namespace)
        eventually(lambda: running.notes.of(key)[-1].jobs == ("r18-base",))
        cluster.api.delete(JOBS, namespace, "r18-base")
        eventually(lambda: running.notes.of(key)[-1].jobs == ())
        cluster.api.delete(SEARCHES, namespace, "r18")
        eventually(lambda: running.notes.forgotten == [key])


def test_what_was_there_before_is_known_before_the_first_pass(
    frame: Start, cluster: ControlPlane, namespace: str
) -> None:
    key = SearchKey(namespace, "r18")
    owner = cluster.api.create(manifest("r18"), namespace)
    for number in range(3):
        cluster.api.create(owned_job(f"r18-t000{number}", owner), namespace)
    # What the Job controller writes to them must not come later.
    eventually(
        lambda: all(one["status"]["conditions"] for one in cluster.api.list(JOBS, namespace))
    )
    with frame() as running:
        eventually(lambda: running.notes.of(key))
        time.sleep(2)  # the watches begin after what was listed
        (only,) = running.notes.of(key)
        assert only.jobs == ("r18-t0000", "r18-t0001", "r18-t0002")


def test_our_own_writes_lead_to_no_pass(
    frame: Start, cluster: ControlPlane, namespace: str
) -> None:
    key = SearchKey(namespace, "r18")

    def status() -> Any:
        return cluster.api.get(SEARCHES, namespace, "r18")["status"]

    with frame() as running:

        def act(of: SearchKey) -> Requeue:
            if not running.cache.jobs(of, owner["metadata"]["uid"]):
                made = running.client.create("jobs", namespace, owned_job("r18-base", owner))
                running.cache.put_job(made)
                patch = {"status": {"phase": "Searching"}}
                answer = running.client.merge_patch(
                    "detnassearches", namespace, "r18", patch, "status"
                )
                running.cache.put_search(answer)
            return Requeue()

        owner = cluster.api.create(manifest("r18"), namespace)
        eventually(lambda: running.notes.of(key))
        running.notes.act = act
        suspend(cluster, key)
        eventually(lambda: status() == {"phase": "Searching"})
        eventually(lambda: cluster.api.get(JOBS, namespace, "r18-base")["status"]["conditions"])
        time.sleep(1)
        # One for its creation, one for the change, and those that the Job controller's own
        # writes to the Job's status lead to.
        assert len(running.notes.of(key)) <= 4
        assert status() == {"phase": "Searching"}


def test_nothing_is_written_to_what_is_watched(
    frame: Start, cluster: ControlPlane, namespace: str
) -> None:
    key = SearchKey(namespace, "r18")
    made = cluster.api.create(manifest("r18"), namespace)
    with frame() as running:
        eventually(lambda: running.notes.of(key))
        time.sleep(1)
    after = cluster.api.get(SEARCHES, namespace, "r18")
    assert after == made


def test_jobs_of_others_are_not_even_seen(
    frame: Start, cluster: ControlPlane, namespace: str
) -> None:
    key = SearchKey(namespace, "r18")
    with frame() as running:
        owner = cluster.api.create(manifest("r18"), namespace)
        eventually(lambda: running.notes.of(key))
        other = owned_job("other", owner)
        del other["metadata"]["ownerReferences"]
        cluster.api.create(other, namespace)
        cluster.api.create(owned_job("ours", owner), namespace)
        eventually(lambda: running.notes.of(key)[-1].jobs == ("ours",))


def test_watches_go_on_when_the_api_server_restarts(
    frame: Start, cluster: ControlPlane, namespace: str
) -> None:
    key = SearchKey(namespace, "r18")
    with frame() as running:
        cluster.api.create(manifest("r18"), namespace)
        see_by_watch(cluster, running, key)
        cluster.stop_api_server(kill=True)
        time.sleep(2)
        cluster.start_api_server()
        suspend(cluster, key)
        eventually(lambda: running.notes.of(key)[-1].suspend)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take two seconds without a word for the end of a watch."""
    monkeypatch.setattr("detnas_operator.cluster.streaming.SILENT_SECONDS", 2.0)


@pytest.mark.usefixtures("impatient")
def test_a_watch_that_falls_silent_is_replaced(
    frame: Start, cluster: ControlPlane, namespace: str
) -> None:
    key = SearchKey(namespace, "r18")
    with proxy_of(cluster.api.server) as proxy, frame(server=proxy.url) as running:
        owner = cluster.api.create(manifest("r18"), namespace)
        see_by_watch(cluster, running, key)
        cluster.api.create(owned_job("r18-base", owner), namespace)
        eventually(lambda: running.cache.jobs(key, owner["metadata"]["uid"]))
        proxy.silence()
        cluster.api.delete(JOBS, namespace, "r18-base")
        suspend(cluster, key)
        eventually(lambda: running.notes.of(key)[-1].suspend)
        eventually(lambda: running.notes.of(key)[-1].jobs == ())


@pytest.mark.parametrize("kind", ["detnassearches", "jobs"])
@pytest.mark.parametrize("watch", [False, True], ids=["list", "watch"])
def test_what_the_api_server_serves_only_later_is_watched_too(
    frame: Start, cluster: ControlPlane, namespace: str, kind: str, watch: bool
) -> None:
    """An API server that is starting has not discovered its own groups yet."""
    key = SearchKey(namespace, "r18")
    asked: list[Call] = []

    def not_at_first(call: Call) -> Fault | None:
        of_kind = call.method == "GET" and call.path.endswith(f"/{kind}")
        if not of_kind or call.is_watch is not watch or len(asked) > 1:
            return None
        asked.append(call)
        return Refuse(404)

    journal = Journal(not_at_first)
    with (
        FaultProxy(cluster.api.server, cluster.api.ca, journal=journal) as proxy,
        frame(server=proxy.url, resyncSeconds=1000) as running,
    ):
        owner = cluster.api.create(manifest("r18"), namespace)
        see_by_watch(cluster, running, key)
        cluster.api.create(owned_job("r18-base", owner), namespace)
        eventually(lambda: running.notes.of(key)[-1].jobs == ("r18-base",))
        eventually(lambda: health(running.health)[0] == 200)
    assert len(asked) == 2


@pytest.mark.usefixtures("impatient")
def test_what_was_deleted_while_nobody_could_tell_is_found_out(
    frame: Start, cluster: ControlPlane, namespace: str
) -> None:
    """The new API server has no memory of the deletions: the watch starts over from a list."""
    gone, stays = SearchKey(namespace, "gone"), SearchKey(namespace, "stays")
    with proxy_of(cluster.api.server) as proxy, frame(server=proxy.url) as running:
        cluster.api.create(manifest("gone"), namespace)
        owner = cluster.api.create(manifest("stays"), namespace)
        see_by_watch(cluster, running, stays)
        for name in ("stays-base", "stays-t0001"):
            cluster.api.create(owned_job(name, owner), namespace)
        eventually(lambda: len(running.cache.jobs(stays, owner["metadata"]["uid"])) == 2)
        eventually(lambda: running.notes.of(gone))
        proxy.hold()
        cluster.api.delete(SEARCHES, namespace, "gone")
        cluster.api.delete(JOBS, namespace, "stays-base")
        eventually(lambda: not cluster.api.find(JOBS, namespace, "stays-base"))
        cluster.stop_api_server(kill=True)
        cluster.start_api_server()
        proxy.release()
        eventually(lambda: running.notes.forgotten == [gone])
        eventually(lambda: running.notes.of(stays)[-1].jobs == ("stays-t0001",))


def test_whole_lists_find_what_no_watch_told(
    frame: Start, cluster: ControlPlane, namespace: str
) -> None:
    key = SearchKey(namespace, "r18")
    with frame(resyncSeconds=1) as running:
        owner = cluster.api.create(manifest("r18"), namespace)
        cluster.api.create(owned_job("r18-base", owner), namespace)
        eventually(lambda: running.notes.of(key) and running.notes.of(key)[-1].jobs)
        phantom = owned_job("r18-phantom", owner)
        phantom["metadata"] |= {"namespace": namespace, "uid": "phantom", "resourceVersion": "1"}
        running.cache.put_job(phantom)
        eventually(lambda: running.notes.of(key)[-1].jobs == ("r18-base",))


def test_health_turns_red_when_the_queue_is_stuck(
    frame: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    with frame() as running:
        said = eventually(lambda: health(running.health)[1])
        assert said["queue"]["searches"] == 0
        monkeypatch.setattr("detnas_operator.controller.health.OLDEST_HEARTBEAT", -1.0)
        eventually(lambda: health(running.health)[0] == 500)
        monkeypatch.setattr("detnas_operator.controller.health.OLDEST_HEARTBEAT", 60.0)
        eventually(lambda: health(running.health)[0] == 200)
