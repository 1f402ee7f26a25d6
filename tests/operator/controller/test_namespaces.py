"""A namespace that cannot be listed delays no other, and is served once it can be."""

import logging
import time
from collections.abc import Callable
from typing import Any

import pytest

from detnas_operator.cluster.searches import SearchKey
from tests.cluster.api import JOBS, NAMESPACES, SEARCHES, Api, ApiError
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.faults import Call, Fault, Journal, Refuse
from tests.cluster.fixtures import abandon_namespace
from tests.cluster.installation import Installation, install
from tests.cluster.jobs import owned_job
from tests.cluster.searches import manifest
from tests.cluster.waiting import eventually
from tests.operator.harness.fixtures import StartController
from tests.seaweed import S3Server

BINDINGS = "apis/rbac.authorization.k8s.io/v1/rolebindings"
RELISTING = "detnas_operator.controller.relisting"


@pytest.fixture
def other(namespaces: Callable[[], str]) -> str:
    """A second namespace."""
    return namespaces()


@pytest.fixture
def installation(
    cluster: ControlPlane, namespace: str, other: str, s3_server: S3Server
) -> Installation:
    """A release of the chart that watches both."""
    return install(cluster, s3_server, [namespace, other])


def take_rights(cluster: ControlPlane, api: Api, namespace: str) -> dict[str, Any]:
    """Delete the operator's binding, and return it as it can be made again."""
    (binding,) = cluster.api.list(
        BINDINGS, namespace, labelSelector="app.kubernetes.io/name=detnas"
    )
    cluster.api.delete(BINDINGS, namespace, binding["metadata"]["name"])
    eventually(lambda: not may_list(api, namespace))
    for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        binding["metadata"].pop(field, None)
    return binding | {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding"}


def may_list(api: Api, namespace: str) -> bool:
    try:
        api.list(SEARCHES, namespace)
        api.list(JOBS, namespace)
    except ApiError:
        return False
    return True


def test_controller_serves_other_namespaces_when_one_cannot_be_listed(
    controller: StartController,
    installation: Installation,
    cluster: ControlPlane,
    namespace: str,
    other: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ours, theirs = SearchKey(namespace, "ours"), SearchKey(other, "theirs")
    caplog.set_level(logging.INFO, RELISTING)
    binding = take_rights(cluster, installation.api, other)
    cluster.api.create(manifest("theirs"), other)
    with controller() as running:
        cluster.api.create(manifest("ours"), namespace)
        running.until_watching(ours)
        assert running.health()[0] == 200
        time.sleep(5)  # it is tried again and again
        assert not running.passes(theirs)
        own = [one.message for one in caplog.records if one.name == RELISTING]
        (said,) = [one for one in own if other in one]
        assert said.startswith(f"searches of namespace {other} wait until it can be listed: ")
        assert "grant this to the operator's service account" in said
        cluster.api.create(binding, other)
        running.until_watching(theirs)
    assert f"searches and Jobs of namespace {other} are listed again" in caplog.messages


def test_controller_serves_a_deleted_namespace_once_it_is_back(
    controller: StartController,
    installation: Installation,
    cluster: ControlPlane,
    namespace: str,
    other: str,
) -> None:
    ours, theirs = SearchKey(namespace, "ours"), SearchKey(other, "theirs")
    with controller() as running:
        cluster.api.create(manifest("theirs"), other)
        cluster.api.create(manifest("ours"), namespace)
        running.until_watching(theirs)
        binding = delete_namespace(cluster, installation.api, other)
        eventually(lambda: running.reconciler.forgotten == [theirs])
        running.until_watching(ours)
    with controller() as running:  # as after a restart
        running.until_watching(ours)
        assert running.health()[0] == 200
        bring_back(cluster, binding, other)
        cluster.api.create(manifest("theirs"), other)
        running.until_watching(theirs)


def delete_namespace(cluster: ControlPlane, api: Api, name: str) -> list[dict[str, Any]]:
    """Delete a namespace as kubectl does, and what is in it; return the operator's rights."""
    role = cluster.api.list("apis/rbac.authorization.k8s.io/v1/roles", name)
    kept = [one for one in role if one["metadata"]["name"].startswith("detnas")]
    binding = take_rights(cluster, api, name)
    for one in kept:
        for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
            one["metadata"].pop(field, None)
        one |= {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role"}
    abandon_namespace(cluster, name)
    cluster.abandoned.discard(name)
    return [*kept, binding]


def bring_back(cluster: ControlPlane, rights: list[dict[str, Any]], name: str) -> None:
    eventually(lambda: not cluster.api.find(NAMESPACES, "", name))
    cluster.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for one in rights:
        cluster.api.create(one, name)


def test_controller_makes_no_pass_before_jobs_are_listed(
    controller: StartController, cluster: ControlPlane, namespace: str, other: str
) -> None:
    """Of its Jobs some are perhaps known, from our own writes: that is not enough."""
    ours, theirs = SearchKey(namespace, "ours"), SearchKey(other, "theirs")
    path = f"/apis/batch/v1/namespaces/{other}/jobs"
    refused = [True]

    def refuse(call: Call) -> Fault | None:
        listed = call.path == path and not call.is_watch
        return Refuse(403) if listed and refused[0] else None

    owner = cluster.api.create(manifest("theirs"), other)
    cluster.api.create(owned_job("theirs-base", owner), other)
    with (
        FaultProxy(cluster.api.server, cluster.api.ca, journal=Journal(refuse)) as proxy,
        controller(server=proxy.url) as running,
    ):
        cluster.api.create(manifest("ours"), namespace)
        running.until_watching(ours)
        time.sleep(3)
        assert not running.passes(theirs)
        refused[0] = False
        eventually(lambda: running.passes(theirs))
        assert running.passes(theirs)[0].jobs == ("theirs-base",)


def test_controller_retries_lists_of_the_failing_namespace_only(
    controller: StartController,
    installation: Installation,
    cluster: ControlPlane,
    namespace: str,
    other: str,
) -> None:
    take_rights(cluster, installation.api, other)
    journal = Journal()
    with (
        FaultProxy(cluster.api.server, cluster.api.ca, journal=journal) as proxy,
        controller(server=proxy.url) as running,
    ):
        cluster.api.create(manifest("ours"), namespace)
        running.until_watching(SearchKey(namespace, "ours"))
        time.sleep(5)
        lists = [one for one in journal.calls if one.method == "GET" and not one.is_watch]
    ours = [one for one in lists if one.path.endswith(f"/namespaces/{namespace}/detnassearches")]
    theirs = [one for one in lists if one.path.endswith(f"/namespaces/{other}/detnassearches")]
    assert len(ours) == 1
    assert len(theirs) > 2


def test_health_stays_green_without_an_api_server(
    controller: StartController, cluster: ControlPlane, namespace: str
) -> None:
    with FaultProxy(cluster.api.server, cluster.api.ca) as proxy:
        proxy.go_down()
        with controller(server=proxy.url) as running:
            eventually(lambda: running.health()[0] == 200, 5)
            time.sleep(2)
            assert running.health()[0] == 200
            proxy.come_up()
            cluster.api.create(manifest("r18"), namespace)
            running.until_watching(SearchKey(namespace, "r18"))


def test_controller_restarts_watches_that_the_api_server_ends(
    controller: StartController, cluster: ControlPlane, namespace: str
) -> None:
    """While a definition is replaced, its kind is not known (404)."""
    key, path = SearchKey(namespace, "r18"), f"/namespaces/{namespace}/detnassearches"
    left: list[int] = []

    def not_known(call: Call) -> Fault | None:
        if not left or not call.is_watch or not call.path.endswith(path):
            return None
        left.pop()
        return Refuse(404)

    journal = Journal(not_known)
    with (
        FaultProxy(cluster.api.server, cluster.api.ca, journal=journal) as proxy,
        controller(server=proxy.url, resyncSeconds=1000) as running,
    ):
        cluster.api.create(manifest("r18"), namespace)
        running.until_watching(key)
        left.append(1)
        proxy.go_down()
        proxy.come_up()
        eventually(lambda: not left)
        running.until_watching(key)
        assert running.health()[0] == 200
