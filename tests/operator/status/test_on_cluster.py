"""Statuses and events as a real API server stores them, and as kubectl prints them."""

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from detnas_operator.status.events import event_body, events
from detnas_operator.status.patch import merge_patch
from detnas_operator.status.resource_status import resource_status
from tests.cluster.api import EVENTS, SEARCHES, Document
from tests.cluster.control_plane import ControlPlane
from tests.cluster.searches import manifest
from tests.operator.status.pass_results import NOW
from tests.operator.status.test_story import STORY


@pytest.fixture
def search(cluster: ControlPlane, namespace: str) -> Document:
    """A search whose whole story is in its status and events."""
    search = cluster.api.create(manifest("r101"), namespace)
    for number, (result, _) in enumerate(STORY):
        now = NOW + timedelta(minutes=number)
        before = search.get("status", {})
        after = resource_status(result, before, now)
        for event in events(before, after):
            body = event_body(event, search, now)
            cluster.api.create(body, namespace, fieldValidation="Strict")
        patch = {"status": merge_patch(before, after)}
        search = cluster.api.patch(SEARCHES, namespace, "r101", patch, "status")
        # Nothing is pruned or filled in: the next pass would otherwise see a change.
        assert search["status"] == after
    return search


def test_api_server_stores_every_status_and_event_unchanged(
    cluster: ControlPlane, search: Document
) -> None:
    namespace = search["metadata"]["namespace"]
    found = cluster.api.list(EVENTS, namespace, fieldSelector="involvedObject.name=r101")
    found.sort(key=lambda event: event["eventTime"])

    lines = [line for _, lines in STORY for line in lines]
    assert sorted(f"{one['reason']}: {one['message']}" for one in found) == sorted(lines)
    assert {one["involvedObject"]["uid"] for one in found} == {search["metadata"]["uid"]}


def test_kubectl_shows_events_and_status(
    cluster: ControlPlane,
    search: Document,
    kubernetes_programs: dict[str, Path],
    tmp_path: Path,
) -> None:
    namespace = search["metadata"]["namespace"]
    config = cluster.api.kubeconfig(tmp_path / "config", namespace)

    def kubectl(*arguments: str) -> str:
        command = [str(kubernetes_programs["kubectl"]), "--kubeconfig", str(config), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    described = kubectl("describe", "detnas", "r101")
    assert "TrialFailed" in described
    assert "it is stored in s3://lab/detnas" in described
    assert "condition met" in kubectl(
        "wait", "detnas/r101", "--for=condition=Succeeded", "--timeout=60s"
    )
    shown = kubectl("get", "detnas", "r101")
    for cell in ("Succeeded", "Ready", "10/10", "1.3000", "1.0000", "0.4200", "-55%"):
        assert cell in shown
