"""Small readings of a pod's object that several judgements share."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from detnas_operator.job.names import CONTAINER

Object = dict[str, Any]

ENDED = ("Succeeded", "Failed")
LONGEST_WORDS = 500
INDEX = "batch.kubernetes.io/job-completion-index"


def owned(job: Object, found: Iterable[Object]) -> list[Object]:
    """Return the pods of this very Job: one of the same name may have been deleted just now."""
    uid = job["metadata"]["uid"]
    return [
        pod
        for pod in found
        if any(owner["uid"] == uid for owner in pod["metadata"].get("ownerReferences") or ())
    ]


def name(pod: Object) -> str:
    """Name of the pod."""
    return str(pod["metadata"]["name"])


def phase(pod: Object) -> str:
    """Pending, Running, Succeeded, Failed or Unknown."""
    return str(pod.get("status", {}).get("phase", "Pending"))


def index(pod: Object) -> int:
    """Index of a worker; 0 for the pod of a Job that has none."""
    return int(pod["metadata"].get("annotations", {}).get(INDEX, 0))


def node(pod: Object) -> str:
    """Name of its node; empty before it has one."""
    return str(pod.get("spec", {}).get("nodeName") or "")


def condition(body: Object, kind: str) -> Object | None:
    """Return a condition of a pod or Job that is True or False; None where it is not stated."""
    for one in body.get("status", {}).get("conditions") or ():
        if one["type"] == kind:
            return dict(one)
    return None


def is_true(body: Object, kind: str) -> Object | None:
    """Return a condition that is True; else None."""
    one = condition(body, kind)
    return one if one and one["status"] == "True" else None


def container_state(pod: Object, kind: str) -> Object | None:
    """Return what the trainer's container is said to be: waiting, running or terminated."""
    for one in pod.get("status", {}).get("containerStatuses") or ():
        if one["name"] == CONTAINER:
            found = one.get("state", {}).get(kind)
            return dict(found) if found is not None else None
    return None


def one_line(words: Any) -> str:
    """Put what the cluster says into a message: one line, of bearable length."""
    text = " ".join(str(words or "").split())
    return text if len(text) <= LONGEST_WORDS else f"{text[:LONGEST_WORDS]}…"


def moment(text: str | None) -> datetime | None:
    """Read a time as the API writes it."""
    return datetime.fromisoformat(text) if text else None


def ended_at(pod: Object) -> datetime | None:
    """When its container ended; None where nobody saw it."""
    terminated = container_state(pod, "terminated") or {}
    return moment(terminated.get("finishedAt"))
