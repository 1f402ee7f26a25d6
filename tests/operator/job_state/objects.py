"""Jobs and pods as the API server writes them, for tables of states."""

from datetime import UTC, datetime, timedelta
from typing import Any

from detnas_operator.cluster.objects import JobView, Object
from detnas_operator.cluster.pods import PodView

START = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
NOW = START + timedelta(minutes=5)
BACK_OFF = {"Failed": ("BackoffLimitExceeded", "Job has reached the specified backoff limit")}
SPEC: Object = {
    "containers": [{"name": "trainer", "envFrom": [{"secretRef": {"name": "detnas-s3"}}]}],
    "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "coco"}}],
}
WORKERS = {"parallelism": 3, "completions": 3, "completionMode": "Indexed"}


def at(seconds: float) -> str:
    """A time after START as the API writes it."""
    return f"{START + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def a_job(
    conditions: dict[str, tuple[str, str]] | None = None,
    *,
    spec: Object | None = None,
    labels: dict[str, str] | None = None,
    deleted: bool = False,
    **status: Any,
) -> JobView:
    """A Job that was started at START; conditions by type, with reason and message."""
    listed = [
        {
            "type": kind,
            "status": "True",
            "reason": reason,
            "message": message,
            "lastProbeTime": at(240),
            "lastTransitionTime": at(240),
        }
        for kind, (reason, message) in (conditions or {}).items()
    ]
    metadata = {
        "name": "r18-t0007",
        "namespace": "team-a",
        "uid": "job",
        "creationTimestamp": at(0),
        "labels": {"detnas.dev/search": "r18", **(labels or {})},
    }
    if deleted:
        metadata["deletionTimestamp"] = at(200)
    body = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {"parallelism": 1, "completions": 1, "backoffLimit": 2, **(spec or {})},
        "status": {
            "startTime": at(0),
            "uncountedTerminatedPods": {},
            **({"conditions": listed} if listed else {}),
            **status,
        },
    }
    return JobView(body)


def a_pod(
    name: str = "r18-t0007-x1",
    phase: str = "Pending",
    node: str = "gpu-1",
    state: Object | None = None,
    *,
    conditions: list[Object] | None = None,
    index: int | None = None,
    made: float = 1,
    deleted: str = "",
    **status: Any,
) -> PodView:
    """A pod of a Job; `state` is its container's, none before the node knows of it."""
    metadata: Object = {
        "name": name,
        "namespace": "team-a",
        "creationTimestamp": at(made),
        "ownerReferences": [{"kind": "Job", "name": "r18-t0007", "uid": "job"}],
    }
    if index is not None:
        metadata["annotations"] = {"batch.kubernetes.io/job-completion-index": str(index)}
    if deleted:
        metadata["deletionTimestamp"] = deleted
    said: Object = {"phase": phase, "conditions": conditions or [], **status}
    if node:
        said.setdefault("startTime", at(2))
    if state is not None:
        said["containerStatuses"] = [{"name": "trainer", "restartCount": 0, "state": state}]
    spec = {**SPEC, **({"nodeName": node} if node else {})}
    return PodView({"metadata": metadata, "spec": spec, "status": said})


def waiting(reason: str, message: str = "", **more: Any) -> PodView:
    """A pod on a node whose container waits."""
    state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    return a_pod(state=state, conditions=[_true("PodScheduled")], **more)


def unscheduled(message: str, reason: str = "Unschedulable") -> PodView:
    """A pod that has no node."""
    said = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    return a_pod(node="", conditions=[said])


def running(name: str = "r18-t0007-x1", since: float = 30, **more: Any) -> PodView:
    """A pod whose container runs."""
    return a_pod(name, "Running", state={"running": {"startedAt": at(since)}}, **more)


def ended(
    code: int,
    name: str = "r18-t0007-x1",
    reason: str = "",
    message: str = "",
    finished: float = 200,
    **more: Any,
) -> PodView:
    """A pod whose container ended."""
    terminated: Object = {
        "exitCode": code,
        "reason": reason or ("Error" if code else "Completed"),
        "startedAt": at(30),
        "finishedAt": at(finished),
    }
    if message:
        terminated["message"] = message
    phase = "Failed" if code else "Succeeded"
    return a_pod(name, phase, state={"terminated": terminated}, **more)


def disrupted(code: int, reason: str, message: str, name: str = "r18-t0007-x1") -> PodView:
    """A pod that the cluster stopped."""
    target = _true("DisruptionTarget") | {"reason": reason, "message": message}
    return ended(code, name, conditions=[target])


def _true(kind: str) -> Object:
    return {"type": kind, "status": "True"}
