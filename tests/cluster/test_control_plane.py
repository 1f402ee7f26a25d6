"""The control plane that the operator is tested against does what a cluster's does."""

import pytest

from tests.cluster.api import EVENTS, JOBS, PODS, SEARCHES, ApiError
from tests.cluster.control_plane import ControlPlane
from tests.cluster.installation import install
from tests.cluster.jobs import job
from tests.cluster.searches import manifest
from tests.cluster.waiting import eventually
from tests.seaweed import S3Server


def test_control_plane_creates_pods_and_collects_garbage(
    cluster: ControlPlane, namespace: str
) -> None:
    owner = cluster.api.create(manifest("one"), namespace)
    cluster.api.create(job("work", owner=owner, suspend=False), namespace)
    eventually(lambda: cluster.api.list(PODS, namespace))
    assert "one" in cluster.kubectl("-n", namespace, "get", "detnas")
    cluster.api.delete(SEARCHES, namespace, "one")
    eventually(lambda: not cluster.api.list(JOBS, namespace))
    eventually(lambda: not cluster.api.list(PODS, namespace))


def test_installation_has_the_charts_rights_only(
    cluster: ControlPlane, namespace: str, s3_server: S3Server
) -> None:
    operator = install(cluster, s3_server, [namespace]).api
    owner = cluster.api.create(manifest("one"), namespace)
    operator.create(job("allowed", owner=owner), namespace)
    assert operator.list(SEARCHES, namespace)
    with pytest.raises(ApiError, match="403"):
        operator.list("api/v1/secrets", namespace)
    with pytest.raises(ApiError, match="403"):
        operator.list(JOBS, "kube-system")


def test_control_plane_keeps_its_data_over_a_restart(cluster: ControlPlane, namespace: str) -> None:
    cluster.api.create(manifest("kept"), namespace)
    cluster.stop_api_server(kill=True)
    cluster.start_api_server()
    assert cluster.api.get(SEARCHES, namespace, "kept")
    owner = cluster.api.get(SEARCHES, namespace, "kept")
    cluster.api.create(job("after", owner=owner, suspend=False), namespace)
    eventually(lambda: cluster.api.list(PODS, namespace), seconds=60)
    eventually(lambda: cluster.api.list(EVENTS, namespace))
