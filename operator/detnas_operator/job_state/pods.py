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


def uid(pod: Object) -> str:
    """UID of the pod."""
    return str(pod["metadata"].get("uid", ""))


def phase(pod: Object) -> str:
    """Pending, Running, Succeeded, Failed or Unknown."""
    return str(pod.get("status", {}).get("phase", "Pending"))


def index(pod: Object) -> int:
    """Index of a worker; 0 for the pod of a Job that has none."""
    return int(pod["metadata"].get("annotations", {}).get(INDEX, 0))


def node(pod: Object) -> str:
    """Name of its node; empty before it has one."""
    return str(pod.get("spec", {}).get("nodeName") or "")


def claims(pod: Object) -> list[str]:
    """Names of the volume claims that it mounts."""
    volumes = pod.get("spec", {}).get("volumes") or ()
    found = (one.get("persistentVolumeClaim") or {} for one in volumes)
    return [str(claim["claimName"]) for claim in found if claim.get("claimName")]


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
    """Return what the trainer's container is said to be: waiting, running or terminated.

    It is found by its name: others may add containers, before it or after it.
    """
    for one in statuses(pod):
        if one["name"] == CONTAINER:
            return state(one, kind)
    return None


def statuses(pod: Object, *, init: bool = False) -> list[Object]:
    """Return what its node says of its containers, or of its init containers."""
    found = pod.get("status", {}).get("initContainerStatuses" if init else "containerStatuses")
    return list(found or ())


def state(status: Object, kind: str, part: str = "state") -> Object | None:
    """Return one of the three states in a container's status; none where it is in another.

    Args:
        status: the container's.
        kind: waiting, running or terminated.
        part: ``state``, or ``lastState`` for that before its last restart.
    """
    found = (status.get(part) or {}).get(kind)
    return dict(found) if found is not None else None


def is_sidecar(pod: Object, name: str) -> bool:
    """Whether an init container runs beside the others: a native sidecar, which ends with them."""
    return any(
        one["name"] == name and one.get("restartPolicy") == "Always"
        for one in pod.get("spec", {}).get("initContainers") or ()
    )


def is_kept_alive(pod: Object) -> bool:
    """Whether the trainer has ended, and another container keeps the pod from ending.

    Native sidecars do not: the node stops them once the trainer has ended.
    """
    if phase(pod) in ENDED or container_state(pod, "terminated") is None:
        return False
    return any(state(one, "terminated") is None for one in statuses(pod))


def has_failed(pod: Object) -> bool:
    """Whether the pod failed, or its trainer did and another container keeps the pod alive."""
    ended = container_state(pod, "terminated") or {}
    return phase(pod) == "Failed" or (is_kept_alive(pod) and bool(ended.get("exitCode")))


def one_line(words: Any) -> str:
    """Put what the cluster says into a message: one line, of bearable length."""
    text = " ".join(str(words or "").split())
    return text if len(text) <= LONGEST_WORDS else f"{text[:LONGEST_WORDS]}…"


def moment(text: str | None) -> datetime | None:
    """Read a time as the API writes it."""
    return datetime.fromisoformat(text) if text else None


def ended_at(pod: Object) -> datetime | None:
    """When the trainer ended, or the last other container where it did not run; None if unseen."""
    terminated = container_state(pod, "terminated") or {}
    return moment(terminated.get("finishedAt")) or last_end(pod)


def last_end(pod: Object) -> datetime | None:
    """When the last of its containers ended that have; None where nobody saw it."""
    ends = (
        moment((state(one, "terminated") or {}).get("finishedAt"))
        for one in (*statuses(pod), *statuses(pod, init=True))
    )
    return max((end for end in ends if end is not None), default=None)
