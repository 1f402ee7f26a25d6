"""A definition older than the operator, which Helm's `crds/` may leave, does not stop it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detnas.plan.stages import Phase
from detnas_operator.cluster import KubernetesClient, Refused
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.connection import connect
from detnas_operator.cluster.searches import SearchView
from detnas_operator.reconcile import publishing
from detnas_operator.reconcile.publishing import Publisher
from detnas_operator.status.resource_status import resource_status
from detnas_operator.telemetry.metrics import Metrics
from tests.cluster.api import SEARCHES, Document
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import make_namespace
from tests.cluster.installation import search_definition
from tests.cluster.searches import manifest
from tests.earlier_version import Earlier
from tests.operator.status.pass_results import NOW, pass_result

NEVER = float("inf")


@pytest.fixture
def plane(
    earlier: Earlier, kubernetes_programs: dict[str, Path], tmp_path: Path
) -> Iterator[ControlPlane]:
    """A cluster that knows the earlier definition only."""
    made = ControlPlane(tmp_path / "cluster", kubernetes_programs)
    try:
        made.start([search_definition(kubernetes_programs["helm"], earlier.chart)])
        yield made
    finally:
        made.stop()


@pytest.fixture
def publisher(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> Publisher:
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig))
    return Publisher(KubernetesClient(connect(2)), ClusterCache(), Metrics(), 60)


def of_a_later_version(*arguments: Any) -> dict[str, Any]:
    """A status with a condition, an outcome, a phase and a field that are new."""
    status = resource_status(*arguments)
    new = {**status["conditions"][0], "type": "DataComplete"}
    failures = [{"trial": 1, "outcome": "Evicted"}, {"trial": 2, "outcome": "Diverged"}]
    more = {"phase": "Validating", "spareHours": "1.0", "failures": failures}
    return {**status, **more, "conditions": [*status["conditions"], new]}


def test_publish_omits_what_an_older_definition_refuses(
    plane: ControlPlane, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "resource_status", of_a_later_version)
    namespace = make_namespace(plane)
    search = plane.api.create(manifest("r101"), namespace)
    result = pass_result(Phase.PREPARING)

    def published() -> Document:
        observed = SearchView(plane.api.get(SEARCHES, namespace, "r101"))
        assert publisher.publish(observed, result, NEVER)
        return plane.api.get(SEARCHES, namespace, "r101")["status"]

    status = published()
    assert [one["type"] for one in status["conditions"]] == [
        *("Accepted", "TeachersReady", "Searching", "Suspended", "Degraded", "Succeeded")
    ]
    assert status["failures"] == [{"trial": 2, "outcome": "Diverged"}]
    assert "phase" not in status
    assert "spareHours" not in status
    assert status["folder"]
    assert search["metadata"]["uid"]

    refusals: list[Refused] = []
    write = publisher.client.merge_patch

    def noted(*arguments: Any) -> Any:
        try:
            return write(*arguments)
        except Refused as error:
            refusals.append(error)
            raise

    monkeypatch.setattr(publisher.client, "merge_patch", noted)
    assert published() == status
    assert refusals == []  # what was refused once is not tried again


def test_definition_accepts_values_of_a_later_version(
    cluster: ControlPlane, namespace: str
) -> None:
    search = cluster.api.create(manifest("r101"), namespace)
    status = of_a_later_version(pass_result(Phase.PREPARING), {}, NOW)
    assert search["metadata"]["name"] == "r101"
    written = cluster.api.patch(SEARCHES, namespace, "r101", {"status": status}, "status")["status"]
    assert written == {key: value for key, value in status.items() if key != "spareHours"}
