"""Events come before the status: whatever fails in between, each is there once."""

from collections import Counter
from typing import Any

import pytest

from detnas.plan.stages import Phase
from detnas_operator.cluster import ClusterError, KubernetesClient, Refused, Unavailable
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.searches import SearchView
from detnas_operator.reconcile import publishing
from detnas_operator.reconcile.publishing import Publisher
from detnas_operator.telemetry.metrics import Metrics
from tests.cluster.api import EVENTS, SEARCHES
from tests.cluster.control_plane import ControlPlane
from tests.cluster.searches import manifest
from tests.operator.status.pass_results import pass_result

BEGUN = pass_result(Phase.PREPARING)
TOLD = {"Accepted": 1, "Preparing": 1}
NEVER = float("inf")


class Failing(KubernetesClient):
    """A client whose next writes of some kind fail, the events before or the status after them."""

    failures: Counter[str]

    def create(self, kind: str, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        self._fail(kind)
        return super().create(kind, namespace, body)

    def merge_patch(self, kind: str, *arguments: Any) -> dict[str, Any]:
        self._fail(kind)
        return super().merge_patch(kind, *arguments)

    def _fail(self, kind: str) -> None:
        if self.failures[kind]:
            self.failures[kind] -= 1
            raise Unavailable(f"no answer for {kind}")


@pytest.fixture
def search(cluster: ControlPlane, namespace: str) -> SearchView:
    return SearchView(cluster.api.create(manifest("r101"), namespace))


def publisher(client: KubernetesClient, **failures: int) -> Publisher:
    failing = Failing(client.connection)
    failing.failures = Counter(failures)
    return Publisher(failing, ClusterCache(), Metrics(), 60)


def told(cluster: ControlPlane, search: SearchView) -> Counter[str]:
    fields = f"involvedObject.uid={search.uid}"
    found = cluster.api.list(EVENTS, search.namespace, fieldSelector=fields)
    return Counter(event["reason"] for event in found)


def test_publish_repeats_no_event_after_a_failed_write_of_the_status(
    cluster: ControlPlane, client: KubernetesClient, search: SearchView
) -> None:
    with pytest.raises(ClusterError):
        publisher(client, detnassearches=1).publish(search, BEGUN, NEVER)
    assert told(cluster, search) == TOLD
    assert publisher(client).publish(search, BEGUN, NEVER)
    assert told(cluster, search) == TOLD


def test_publish_retries_a_failed_event_after_the_status(
    cluster: ControlPlane, client: KubernetesClient, search: SearchView
) -> None:
    assert publisher(client, events=2).publish(search, BEGUN, NEVER)
    assert told(cluster, search) == TOLD


def test_publish_writes_the_status_although_events_are_refused(
    cluster: ControlPlane, client: KubernetesClient, search: SearchView
) -> None:
    assert publisher(client, events=99).publish(search, BEGUN, NEVER)
    assert not told(cluster, search)
    status = cluster.api.get(SEARCHES, search.namespace, search.name)["status"]
    assert status["phase"] == "Preparing"


def test_publish_writes_the_status_of_a_search_changed_meanwhile(
    cluster: ControlPlane, client: KubernetesClient, search: SearchView
) -> None:
    namespace = search.namespace
    cluster.api.patch(SEARCHES, namespace, "r101", {"metadata": {"labels": {"a": "b"}}})
    assert publisher(client).publish(search, BEGUN, NEVER)
    assert cluster.api.get(SEARCHES, namespace, "r101")["status"]["phase"] == "Preparing"


def test_publish_writes_nothing_to_a_namesake(
    cluster: ControlPlane, client: KubernetesClient, search: SearchView
) -> None:
    namespace = search.namespace
    cluster.api.delete(SEARCHES, namespace, "r101")
    other = cluster.api.create(manifest("r101"), namespace)
    assert not publisher(client).publish(search, BEGUN, NEVER)
    found = cluster.api.get(SEARCHES, namespace, "r101")
    assert found["metadata"] == other["metadata"]
    assert "status" not in found


def test_publish_repeats_an_event_that_happens_again(
    cluster: ControlPlane, client: KubernetesClient, search: SearchView
) -> None:
    made = publisher(client)
    for suspended in (False, True, False, True):
        now = SearchView(cluster.api.get(SEARCHES, search.namespace, search.name))
        result = pass_result(Phase.PREPARING, suspended=suspended)
        assert made.publish(now, result, NEVER)
    assert told(cluster, search)["Suspended"] == 2


class Older:
    """A client whose cluster refuses every phase: its definition is older than the operator."""

    refused = 0

    def merge_patch(self, _kind: str, *arguments: Any) -> dict[str, Any]:
        if "phase" in arguments[2]["status"]:
            self.refused += 1
            raise Refused("unsupported value", fields=("status.phase",))
        return manifest_of("2")


def manifest_of(version: str) -> dict[str, Any]:
    metadata = {"namespace": "team-a", "name": "r101", "uid": "u", "resourceVersion": version}
    return {"metadata": metadata}


def test_publish_remembers_refused_fields_in_bounded_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Older()
    made = Publisher(client, ClusterCache(), Metrics(), 60)  # type: ignore[arg-type]
    monkeypatch.setattr(publishing, "events", lambda *_: ())
    for number in range(500):
        status = {"phase": f"New{number}", "folder": "one"}
        monkeypatch.setattr(publishing, "resource_status", lambda *_, one=status: one)
        for _ in range(2):
            made.publish(SearchView(manifest_of("1")), BEGUN, NEVER)
    assert client.refused == 500, "what was refused just now is not tried again"
    assert len(made.refused_values) <= 100
