"""Why a container of a pod that has a node does not start: its own reason, or another container.

Admission webhooks add containers, in any order: proxies beside the trainer, init containers before
it, native sidecars. What one of them waits for is said under its name.
"""

from datetime import datetime, timedelta
from typing import Any

from detnas.reasons import ReasonCode
from detnas.resource.transitions import IN_A_NEW_SEARCH, MADE_ANEW
from detnas_operator.job.names import CONTAINER
from detnas_operator.job_state import pods
from detnas_operator.job_state.states import Waiting

Object = dict[str, Any]

_IMAGE = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "RegistryUnavailable",
        "ImageInspectError",
        "SignatureValidationFailed",
    }
)
_REFUSED = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff"}
)
_TRANSIENT = "CreateContainerConfigError"
"""Also the reason while the node has not read a Secret or ConfigMap yet that exists."""

_A_WHILE = timedelta(seconds=60)
"""A node reads Secrets and ConfigMaps again within seconds."""
_LONG = timedelta(seconds=90)
"""An init container that takes longer is told; one that runs is no failure."""


def container_wait(pod: Object, now: datetime) -> Waiting | None:
    """Return what a pod on a node waits for, if a container's status says so."""
    return _before_the_trainer(pod, now) or _beside(pod, now)


def _before_the_trainer(pod: Object, now: datetime) -> Waiting | None:
    """Init containers run one after the other: the first that is not through holds up the rest."""
    for status in pods.statuses(pod, init=True):
        if not _is_through(pod, status):
            return _refused(pod, status, now, "init container") or _unfinished(pod, status, now)
    return None


def _beside(pod: Object, now: datetime) -> Waiting | None:
    trainers = [one for one in pods.statuses(pod) if one["name"] == CONTAINER]
    others = [one for one in pods.statuses(pod) if one["name"] != CONTAINER]
    for status in (*trainers, *others):
        if wait := _refused(pod, status, now, "container"):
            return wait
    return None


def _is_through(pod: Object, status: Object) -> bool:
    if pods.is_sidecar(pod, status["name"]):
        return bool(status.get("started")) and pods.state(status, "running") is not None
    ended = pods.state(status, "terminated")
    return ended is not None and not ended.get("exitCode")


def _refused(pod: Object, status: Object, now: datetime, what: str) -> Waiting | None:
    waiting = pods.state(status, "waiting") or {}
    reason = str(waiting.get("reason") or "")
    words = pods.one_line(waiting.get("message") or reason)
    added = status["name"] != CONTAINER
    where = f"pod {pods.name(pod)} on node {pods.node(pod)}"
    if reason in _IMAGE:
        whose = f"the image of its {what} {status['name']}" if added else "its image"
        message = f"{where} cannot get {whose}: {words}; {_image_advice(added)}"
        return Waiting(ReasonCode.IMAGE_PULL, message)
    if reason not in _REFUSED:
        return None
    secret = "" if added else _missing_secret(pod, words)
    if secret:
        advice = f"create the Secret {secret} with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        message = f"{where} lacks the credentials of its namespace: {words}; {advice}"
        return Waiting(ReasonCode.CREDENTIALS_MISSING, message)
    if reason == _TRANSIENT and not _has_waited(pod, now, _A_WHILE):
        return Waiting(ReasonCode.STARTING, f"{where} starts: {reason}: {words}")
    who = f"its {what} {status['name']}" if added else "its container"
    message = f"{where} does not start {who}: {reason}: {words}{_last_end(status)}"
    kind = ReasonCode.INIT_CONTAINER if what != "container" else ReasonCode.CONTAINER_REFUSED
    return Waiting(kind, message)


def _image_advice(added: bool) -> str:
    if added:
        return "something in the cluster added that container: contact whoever operates it"
    return (
        "put the image there, or correct the Secret that it is pulled with; or change "
        f"spec.jobs.imagePullSecrets, {MADE_ANEW}; correct its name {IN_A_NEW_SEARCH}"
    )


def _missing_secret(pod: Object, words: str) -> str:
    """Name the trainer's Secret of S3 keys, if the node's words say that it is not there."""
    for container in pod.get("spec", {}).get("containers") or ():
        if container["name"] != CONTAINER:
            continue
        for source in container.get("envFrom") or ():
            name = (source.get("secretRef") or {}).get("name")
            if name and words == f'secret "{name}" not found':
                return str(name)
    return ""


def _unfinished(pod: Object, status: Object, now: datetime) -> Waiting | None:
    """An init container that neither ends nor says why; the first minutes are its own."""
    since = pods.moment((pods.state(status, "running") or {}).get("startedAt"))
    if since is None or now - since <= _LONG:
        return None
    awaited = "has not started" if pods.is_sidecar(pod, status["name"]) else "has not ended"
    return Waiting(
        ReasonCode.INIT_CONTAINER,
        f"pod {pods.name(pod)} on node {pods.node(pod)} waits for its init container "
        f"{status['name']}, which has been running since {since:%H:%M} UTC and {awaited}; "
        "something in the cluster added it, contact whoever operates it: "
        f"`kubectl logs {pods.name(pod)} --container {status['name']}`",
    )


def _last_end(status: Object) -> str:
    """How a container ended before its node tries it again."""
    ended = pods.state(status, "terminated", "lastState")
    if ended is None:
        return ""
    words = pods.one_line(ended.get("message"))
    said = f": {words}" if words else ""
    return f"; it ended with exit {ended.get('exitCode')} ({ended.get('reason') or 'Error'}){said}"


def _has_waited(pod: Object, now: datetime, patience: timedelta) -> bool:
    taken = pod.get("status", {}).get("startTime") or pod["metadata"].get("creationTimestamp")
    since = pods.moment(taken)
    return since is not None and now - since > patience
