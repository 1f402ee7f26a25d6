"""Pods of a suspended or deleted search that do not stop: reported neither early nor vaguely."""

from datetime import timedelta

from detnas_operator.cluster.objects import JobView
from detnas_operator.cluster.pods import PodView
from detnas_operator.search_jobs.remaining_pods import (
    DELETION_PATIENCE,
    SUSPENSION_PATIENCE,
    deleted_but_running,
    suspended_but_running,
)
from tests.operator.job_state.objects import NOW, a_pod

LATER = NOW + SUSPENSION_PATIENCE
LATE_DELETION = NOW + DELETION_PATIENCE
POD = a_pod("one-t0000-abcde", "Running")


def held(*finalizers: str) -> dict[str, JobView]:
    """A Job that is deleted, and kept by finalizers."""
    metadata = {"name": "one-t0000", "finalizers": list(finalizers)}
    return {"one-t0000": JobView({"metadata": metadata})}


def test_suspended_but_running_allows_a_pod_its_grace_period() -> None:
    assert suspended_but_running({}, [POD], NOW, LATER - timedelta(seconds=1)) is None
    assert suspended_but_running({}, [], NOW, LATER) is None
    slow = a_pod(
        "one-t0000-abcde", "Running", deleted=f"{LATER + SUSPENSION_PATIENCE:%Y-%m-%dT%H:%M:%SZ}"
    )
    assert suspended_but_running({}, [slow], NOW, LATER) is None
    found = suspended_but_running({}, [slow], NOW, LATER + SUSPENSION_PATIENCE)
    assert found is not None
    assert found.code == "PodsStopping"
    assert "pod one-t0000-abcde on node gpu-1 has not stopped" in found.message
    assert "`kubectl delete pod one-t0000-abcde --force`" in found.message


def test_suspended_but_running_names_a_foreign_finalizer_at_once() -> None:
    found = suspended_but_running(
        held("kueue.x-k8s.io/held", "foregroundDeletion"), [POD], NOW, NOW
    )
    assert found is not None
    assert "Job one-t0000 is deleted, but it waits for the finalizer kueue.x-k8s.io/held:" in (
        found.message
    )


def test_suspended_but_running_allows_a_job_time_for_its_pods() -> None:
    assert suspended_but_running(held("foregroundDeletion"), [POD], NOW, NOW) is None


def test_suspended_but_running_names_a_finalizer_of_the_pod() -> None:
    metadata = {**POD.body["metadata"], "finalizers": ["example.org/audit"]}
    pod = PodView({**POD.body, "metadata": metadata})
    found = suspended_but_running({}, [pod], NOW, LATER)
    assert found is not None
    assert "finalizer example.org/audit" in found.message


def stays(name: str = "r18-t0007-abcde", stop_after: float | None = 0) -> PodView:
    """A pod that was to stop so many seconds after NOW; None if nobody told it."""
    due = None if stop_after is None else NOW + timedelta(seconds=stop_after)
    return a_pod(name, "Running", deleted=f"{due:%Y-%m-%dT%H:%M:%SZ}" if due else "")


def test_deleted_but_running_waits_for_the_pods() -> None:
    assert deleted_but_running([stays()], NOW, LATE_DELETION - timedelta(seconds=1)) is None
    assert deleted_but_running([stays()], NOW, LATE_DELETION) is not None
    assert deleted_but_running([], NOW, LATE_DELETION) is None


def test_deleted_but_running_allows_a_pod_its_grace_period() -> None:
    slow = stays(stop_after=600)
    assert deleted_but_running([slow], NOW, LATE_DELETION) is None
    found = deleted_but_running([slow], NOW, NOW + timedelta(seconds=600))
    assert found is not None
    assert f"since {NOW + timedelta(seconds=600):%H:%M:%S} UTC" in found.message


def test_deleted_but_running_names_pod_node_and_remedy() -> None:
    found = deleted_but_running([stays()], NOW, LATE_DELETION)
    assert found is not None
    assert found.code == "PodsStopping"
    assert "pod r18-t0007-abcde on node gpu-1 has not" in found.message
    assert "`kubectl delete pod r18-t0007-abcde --force`" in found.message
    assert "if the node has been removed for good" in found.message


def test_deleted_but_running_names_a_pod_that_was_not_deleted() -> None:
    found = deleted_but_running([stays(stop_after=None)], NOW, LATE_DELETION)
    assert found is not None
    assert f"since {NOW:%H:%M:%S} UTC" in found.message


def test_deleted_but_running_names_the_same_pod_at_every_pass() -> None:
    """A message that changed at every look would be a write at every look."""
    pods = [stays("r18-t0008-abcde"), stays("r18-t0007-abcde"), stays("r18-t0009-abcde")]
    found = deleted_but_running(pods, NOW, LATE_DELETION)
    assert found is not None
    assert "pod r18-t0007-abcde on node gpu-1, like 2 more, has not" in found.message
    assert found == deleted_but_running(pods[::-1], NOW, LATE_DELETION + timedelta(hours=1))
