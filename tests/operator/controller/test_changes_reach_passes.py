"""What happens in the cluster reaches a pass, with the rights the chart gives, whatever breaks."""

import time
from typing import Any

import pytest

from detnas_operator.cluster.searches import SearchKey
from detnas_operator.queue.schedule import Requeue
from tests.cluster.api import JOBS, SEARCHES
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.faults import Call, Fault, Journal, Refuse
from tests.cluster.jobs import owned_job
from tests.cluster.searches import manifest
from tests.cluster.waiting import eventually
from tests.operator.controller.tcp_proxy import proxy_of
from tests.operator.harness.fixtures import StartController


@pytest.mark.parametrize(
    "installation",
    [{"clusterWide": False}, {"clusterWide": True}],
    indirect=True,
    ids=["namespaces", "cluster-wide"],
)
def test_controller_makes_a_pass_for_each_change_of_a_search_or_its_jobs(
    controller: StartController, cluster: ControlPlane, namespace: str
) -> None:
    key = SearchKey(namespace, "r18")
    with controller() as running:
        owner = cluster.api.create(manifest("r18"), namespace)
        eventually(lambda: running.passes(key))
        running.suspend(key)
        eventually(lambda: running.passes(key)[-1].suspend)
        cluster.api.create(owned_job("r18-base", owner), namespace)
        eventually(lambda: running.passes(key)[-1].jobs == ("r18-base",))
        cluster.api.delete(JOBS, namespace, "r18-base")
        eventually(lambda: running.passes(key)[-1].jobs == ())
        cluster.api.delete(SEARCHES, namespace, "r18")
        # In the entire cluster, searches of other tests go, too.
        eventually(lambda: running.reconciler.forgotten.count(key) == 1)


def test_controller_lists_jobs_before_the_first_pass(
    controller: StartController, cluster: ControlPlane, namespace: str
) -> None:
    key = SearchKey(namespace, "r18")
    owner = cluster.api.create(manifest("r18"), namespace)
    for number in range(3):
        cluster.api.create(owned_job(f"r18-t000{number}", owner), namespace)
    # What the Job controller writes to them must not come later.
    eventually(
        lambda: all(one["status"]["conditions"] for one in cluster.api.list(JOBS, namespace))
    )
    with controller() as running:
        eventually(lambda: running.passes(key))
        time.sleep(2)  # the watches begin after what was listed
        (only,) = running.passes(key)
        assert only.jobs == ("r18-t0000", "r18-t0001", "r18-t0002")


def test_controller_makes_no_pass_for_its_own_writes(
    controller: StartController, cluster: ControlPlane, namespace: str
) -> None:
    key = SearchKey(namespace, "r18")

    def status() -> Any:
        return cluster.api.get(SEARCHES, namespace, "r18")["status"]

    with controller() as running:

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
        eventually(lambda: running.passes(key))
        running.reconciler.act = act
        running.suspend(key)
        eventually(lambda: status() == {"phase": "Searching"})
        eventually(lambda: cluster.api.get(JOBS, namespace, "r18-base")["status"]["conditions"])
        time.sleep(1)
        # One for its creation, one for the change, and those that the Job controller's own
        # writes to the Job's status lead to.
        assert len(running.passes(key)) <= 4
        assert status() == {"phase": "Searching"}


def test_controller_writes_nothing_to_searches(
    controller: StartController, cluster: ControlPlane, namespace: str
) -> None:
    key = SearchKey(namespace, "r18")
    made = cluster.api.create(manifest("r18"), namespace)
    with controller() as running:
        eventually(lambda: running.passes(key))
        time.sleep(1)
    after = cluster.api.get(SEARCHES, namespace, "r18")
    assert after == made


def test_controller_ignores_jobs_without_an_owner(
    controller: StartController, cluster: ControlPlane, namespace: str
) -> None:
    key = SearchKey(namespace, "r18")
    with controller() as running:
        owner = cluster.api.create(manifest("r18"), namespace)
        eventually(lambda: running.passes(key))
        other = owned_job("other", owner)
        del other["metadata"]["ownerReferences"]
        cluster.api.create(other, namespace)
        cluster.api.create(owned_job("ours", owner), namespace)
        eventually(lambda: running.passes(key)[-1].jobs == ("ours",))


def test_controller_continues_watches_after_a_restart_of_the_api_server(
    controller: StartController, cluster: ControlPlane, namespace: str
) -> None:
    key = SearchKey(namespace, "r18")
    with controller() as running:
        cluster.api.create(manifest("r18"), namespace)
        running.until_watching(key)
        cluster.stop_api_server(kill=True)
        time.sleep(2)
        cluster.start_api_server()
        running.suspend(key)
        eventually(lambda: running.passes(key)[-1].suspend)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take two seconds without a word for the end of a watch."""
    monkeypatch.setattr("detnas_operator.cluster.streaming.SILENT_SECONDS", 2.0)


@pytest.mark.usefixtures("impatient")
def test_controller_replaces_a_silent_watch(
    controller: StartController, cluster: ControlPlane, namespace: str
) -> None:
    key = SearchKey(namespace, "r18")
    with proxy_of(cluster.api.server) as proxy, controller(server=proxy.url) as running:
        owner = cluster.api.create(manifest("r18"), namespace)
        running.until_watching(key)
        cluster.api.create(owned_job("r18-base", owner), namespace)
        eventually(lambda: running.cache.jobs(key, owner["metadata"]["uid"]))
        proxy.silence()
        cluster.api.delete(JOBS, namespace, "r18-base")
        running.suspend(key)
        eventually(lambda: running.passes(key)[-1].suspend)
        eventually(lambda: running.passes(key)[-1].jobs == ())


@pytest.mark.parametrize("kind", ["detnassearches", "jobs"])
@pytest.mark.parametrize("watch", [False, True], ids=["list", "watch"])
def test_controller_watches_a_kind_that_the_api_server_serves_only_later(
    controller: StartController, cluster: ControlPlane, namespace: str, kind: str, watch: bool
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
        controller(server=proxy.url, resyncSeconds=1000) as running,
    ):
        owner = cluster.api.create(manifest("r18"), namespace)
        running.until_watching(key)
        cluster.api.create(owned_job("r18-base", owner), namespace)
        eventually(lambda: running.passes(key)[-1].jobs == ("r18-base",))
        eventually(lambda: running.health()[0] == 200)
    assert len(asked) == 2


@pytest.mark.usefixtures("impatient")
def test_controller_finds_deletions_that_no_watch_reported(
    controller: StartController, cluster: ControlPlane, namespace: str
) -> None:
    """The new API server has no memory of the deletions: the watch starts over from a list."""
    gone, stays = SearchKey(namespace, "gone"), SearchKey(namespace, "stays")
    with proxy_of(cluster.api.server) as proxy, controller(server=proxy.url) as running:
        cluster.api.create(manifest("gone"), namespace)
        owner = cluster.api.create(manifest("stays"), namespace)
        running.until_watching(stays)
        for name in ("stays-base", "stays-t0001"):
            cluster.api.create(owned_job(name, owner), namespace)
        eventually(lambda: len(running.cache.jobs(stays, owner["metadata"]["uid"])) == 2)
        eventually(lambda: running.passes(gone))
        proxy.hold()
        cluster.api.delete(SEARCHES, namespace, "gone")
        cluster.api.delete(JOBS, namespace, "stays-base")
        eventually(lambda: not cluster.api.find(JOBS, namespace, "stays-base"))
        cluster.stop_api_server(kill=True)
        cluster.start_api_server()
        proxy.release()
        eventually(lambda: running.reconciler.forgotten == [gone])
        eventually(lambda: running.passes(stays)[-1].jobs == ("stays-t0001",))


def test_resync_corrects_what_no_watch_reported(
    controller: StartController, cluster: ControlPlane, namespace: str
) -> None:
    key = SearchKey(namespace, "r18")
    with controller(resyncSeconds=1) as running:
        owner = cluster.api.create(manifest("r18"), namespace)
        cluster.api.create(owned_job("r18-base", owner), namespace)
        eventually(lambda: running.passes(key) and running.passes(key)[-1].jobs)
        phantom = owned_job("r18-phantom", owner)
        phantom["metadata"] |= {"namespace": namespace, "uid": "phantom", "resourceVersion": "1"}
        running.cache.put_job(phantom)
        eventually(lambda: running.passes(key)[-1].jobs == ("r18-base",))


def test_health_endpoint_fails_while_the_queue_is_stuck(
    controller: StartController, monkeypatch: pytest.MonkeyPatch
) -> None:
    with controller() as running:
        said = eventually(lambda: running.health()[1])
        assert said["queue"]["searches"] == 0
        monkeypatch.setattr("detnas_operator.controller.health.MAX_HEARTBEAT_SECONDS", -1.0)
        eventually(lambda: running.health()[0] == 500)
        monkeypatch.setattr("detnas_operator.controller.health.MAX_HEARTBEAT_SECONDS", 60.0)
        eventually(lambda: running.health()[0] == 200)
