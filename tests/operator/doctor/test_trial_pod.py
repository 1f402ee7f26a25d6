"""The pod that tries image, store and data: what becomes of it on a real API server."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from detnas.findings import Finding
from detnas.spec import DetNASSearch, read_manifest
from detnas_operator.cluster import KubernetesClient
from detnas_operator.cluster.connection import Connection
from detnas_operator.cluster.objects import Object
from detnas_operator.configuration.settings import OperatorSettings
from detnas_operator.doctor.trial_pod import PodTrial, of_log, trial_pod
from tests.cluster.api import Api
from tests.cluster.control_plane import ControlPlane
from tests.cluster.installation import Installation
from tests.cluster.searches import manifest

PODS = "api/v1/pods"


@pytest.fixture
def admin(cluster: ControlPlane, connected: Callable[[Api], Connection]) -> KubernetesClient:
    return KubernetesClient(connected(cluster.api))


@pytest.fixture
def pod(installation: Installation, namespace: str) -> Object:
    settings = OperatorSettings.model_validate(installation.settings)
    tenant = settings.tenant(namespace)
    assert tenant is not None
    made = trial_pod(search(), namespace, settings, tenant)
    assert isinstance(made, dict)
    return made


def search(**sections: Any) -> DetNASSearch:
    return read_manifest(manifest("one", sections), "one")


def test_it_has_what_a_job_has_and_asks_the_doctor(pod: Object, namespace: str) -> None:
    (container,) = pod["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": f"{secret(container)}"}}]
    assert "detnas doctor" in container["command"][2]
    assert container["command"][3].startswith("s3://")
    mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    environment = {one["name"]: one["value"] for one in container["env"]}
    inside = json.loads(environment["DETNAS_MANIFEST"])
    assert inside["spec"]["dataset"]["source"] == {"directory": mounts["data"]}
    assert pod["spec"]["activeDeadlineSeconds"] > 0


def secret(container: Object) -> str:
    (source,) = container["envFrom"]
    return str(source["secretRef"]["name"])


def tried(
    admin: KubernetesClient, namespace: str, pod: Object, becomes: Callable[[], None]
) -> list[Finding]:
    """What is found if something becomes of the pod at the first pause."""
    times = iter(range(1000))
    trial = PodTrial(
        admin,
        namespace,
        seconds=5,
        clock=lambda: float(next(times)),
        sleep=lambda _: becomes(),
    )
    return list(trial.findings(pod))


def test_an_image_that_cannot_be_pulled_is_a_fault(
    admin: KubernetesClient, cluster: ControlPlane, namespace: str, pod: Object
) -> None:
    def cannot_pull() -> None:
        waiting = {"reason": "ImagePullBackOff", "message": "not found"}
        container = {
            "name": "trainer",
            "image": "registry.test/detnas-trainer:1",
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": {"waiting": waiting},
        }
        scheduled = {"type": "PodScheduled", "status": "True"}
        status = {"conditions": [scheduled], "containerStatuses": [container]}
        name = pod["metadata"]["name"]
        cluster.api.patch(PODS, namespace, name, {"status": status}, "status")

    (found,) = tried(admin, namespace, pod, cannot_pull)
    assert found.verdict == "fault"
    assert found.found.startswith("ImagePull")
    assert "not found" in found.found
    assert cluster.api.list(PODS, namespace) == []


def test_a_pod_that_no_node_takes_is_a_fault_with_the_schedulers_reason(
    admin: KubernetesClient, cluster: ControlPlane, namespace: str, pod: Object
) -> None:
    def no_node() -> None:
        refusal = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/3 nodes are available: 3 Insufficient memory.",
        }
        name = pod["metadata"]["name"]
        cluster.api.patch(PODS, namespace, name, {"status": {"conditions": [refusal]}}, "status")

    (found,) = tried(admin, namespace, pod, no_node)
    assert "Insufficient memory" in found.found
    assert cluster.api.list(PODS, namespace) == []


def test_what_the_doctor_prints_in_the_pod_is_passed_on() -> None:
    inside = {"what": "store s3://b/p", "verdict": "fault", "found": "denied", "remedy": "grant"}
    text = f"a library's warning\n{json.dumps({'findings': [inside], 'faults': 1})}\n"
    (found,) = of_log(text)
    assert str(found) == "in a pod, store s3://b/p: denied; grant"


def test_an_image_without_the_doctor_is_no_fault() -> None:
    (found,) = of_log("Error: No such command 'doctor'.")
    assert found.verdict == "warning"
    assert "newer image" in found.remedy
