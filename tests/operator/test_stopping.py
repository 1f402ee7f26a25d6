"""A suspended search says which pods do not stop, and what holds them."""

from datetime import timedelta
from typing import Any

from detnas_operator.reconcile.stopping import PATIENCE, not_stopped
from tests.operator.job.objects import NOW, a_pod

Object = dict[str, Any]
LATER = NOW + PATIENCE
POD = a_pod("one-t0000-abcde", "Running")


def held(*finalizers: str) -> dict[str, Object]:
    """A Job that is deleted, and kept by finalizers."""
    return {"one-t0000": {"metadata": {"name": "one-t0000", "finalizers": list(finalizers)}}}


def test_pods_have_a_while_and_their_grace_to_stop() -> None:
    assert not_stopped({}, [POD], NOW, LATER - timedelta(seconds=1)) is None
    assert not_stopped({}, [], NOW, LATER) is None
    slow = a_pod("one-t0000-abcde", "Running", deleted=f"{LATER + PATIENCE:%Y-%m-%dT%H:%M:%SZ}")
    assert not_stopped({}, [slow], NOW, LATER) is None
    found = not_stopped({}, [slow], NOW, LATER + PATIENCE)
    assert found is not None
    assert found.reason == "PodsStopping"
    assert "pod one-t0000-abcde on node gpu-1 has not stopped" in found.message
    assert "`kubectl delete pod one-t0000-abcde --force`" in found.message


def test_a_foreign_finalizer_is_told_at_once_for_nothing_stops_the_pod() -> None:
    found = not_stopped(held("kueue.x-k8s.io/held", "foregroundDeletion"), [POD], NOW, NOW)
    assert found is not None
    assert "job one-t0000 is deleted, but it waits for the finalizer kueue.x-k8s.io/held:" in (
        found.message
    )


def test_a_job_that_only_waits_for_its_pods_has_time_as_well() -> None:
    assert not_stopped(held("foregroundDeletion"), [POD], NOW, NOW) is None


def test_a_finalizer_of_the_pod_itself_is_named() -> None:
    pod = {**POD, "metadata": {**POD["metadata"], "finalizers": ["example.org/audit"]}}
    found = not_stopped({}, [pod], NOW, LATER)
    assert found is not None
    assert "finalizer example.org/audit" in found.message
