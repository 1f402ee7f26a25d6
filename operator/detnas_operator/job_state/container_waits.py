"""Why a container of a pod that has a node does not start: its own reason, or another container.

Admission webhooks add containers, in any order: proxies beside the trainer, init containers before
it, native sidecars. What one of them waits for is reported under its name.
"""

from datetime import datetime, timedelta

from detnas.reasons import ReasonCode
from detnas.resource.transitions import IN_A_NEW_SEARCH, MADE_ANEW
from detnas_operator.cluster.pod_view import ContainerView, PodView
from detnas_operator.job.names import CONTAINER
from detnas_operator.job_state.pods import one_line
from detnas_operator.job_state.state import Waiting

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
"""An init container that takes longer is reported; until then it is not a failure."""


def container_wait(pod: PodView, now: datetime) -> Waiting | None:
    """Return what a pod on a node waits for, if a container's status reports it."""
    return _before_the_trainer(pod, now) or _beside(pod, now)


def _before_the_trainer(pod: PodView, now: datetime) -> Waiting | None:
    """Init containers run one after the other: the first that is not done blocks the rest."""
    for init in pod.init_containers:
        if not _is_done(pod, init):
            return _refused(pod, init, now, "init container") or _unfinished(pod, init, now)
    return None


def _beside(pod: PodView, now: datetime) -> Waiting | None:
    for container in sorted(pod.containers, key=lambda one: one.name != CONTAINER):
        if wait := _refused(pod, container, now, "container"):
            return wait
    return None


def _is_done(pod: PodView, init: ContainerView) -> bool:
    if pod.is_sidecar(init.name):
        return init.has_started and init.running is not None
    return init.terminated is not None and not init.exit_code


def _refused(pod: PodView, container: ContainerView, now: datetime, what: str) -> Waiting | None:
    waiting = container.waiting or {}
    reason = str(waiting.get("reason") or "")
    reported = one_line(waiting.get("message") or reason)
    added = container.name != CONTAINER
    where = f"pod {pod.name} on node {pod.node}"
    if reason in _IMAGE:
        image = f"the image of its {what} {container.name}" if added else "its image"
        message = f"{where} cannot get {image}: {reported}; {_image_advice(added)}"
        return Waiting(ReasonCode.IMAGE_PULL, message)
    if reason not in _REFUSED:
        return None
    secret = "" if added else _missing_secret(pod, reported)
    if secret:
        advice = f"create the Secret {secret} with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        message = f"{where} lacks the credentials of its namespace: {reported}; {advice}"
        return Waiting(ReasonCode.CREDENTIALS_MISSING, message)
    if reason == _TRANSIENT and not _has_waited(pod, now, _A_WHILE):
        return Waiting(ReasonCode.STARTING, f"{where} starts: {reason}: {reported}")
    which = f"its {what} {container.name}" if added else "its container"
    message = f"{where} does not start {which}: {reason}: {reported}{_last_end(container)}"
    kind = ReasonCode.INIT_CONTAINER if what != "container" else ReasonCode.CONTAINER_REFUSED
    return Waiting(kind, message)


def _image_advice(added: bool) -> str:
    if added:
        return "something in the cluster added that container: contact whoever operates it"
    return (
        "put the image there, or correct the Secret that it is pulled with; or change "
        f"spec.jobs.imagePullSecrets, {MADE_ANEW}; correct its name {IN_A_NEW_SEARCH}"
    )


def _missing_secret(pod: PodView, reported: str) -> str:
    """Name the trainer's Secret of S3 keys, if the node reports that it is not there."""
    for container in pod.spec.get("containers") or ():
        if container["name"] != CONTAINER:
            continue
        for source in container.get("envFrom") or ():
            name = (source.get("secretRef") or {}).get("name")
            if name and reported == f'secret "{name}" not found':
                return str(name)
    return ""


def _unfinished(pod: PodView, init: ContainerView, now: datetime) -> Waiting | None:
    """An init container that does not end and gives no reason; reported after `_LONG`."""
    since = init.running_since
    if since is None or now - since <= _LONG:
        return None
    awaited = "has not started" if pod.is_sidecar(init.name) else "has not ended"
    return Waiting(
        ReasonCode.INIT_CONTAINER,
        f"pod {pod.name} on node {pod.node} waits for its init container "
        f"{init.name}, which has been running since {since:%H:%M} UTC and {awaited}; "
        "something in the cluster added it, contact whoever operates it: "
        f"`kubectl logs {pod.name} --container {init.name}`",
    )


def _last_end(container: ContainerView) -> str:
    """How a container ended before it is restarted."""
    ended = container.last_terminated
    if ended is None:
        return ""
    message = f": {one_line(ended.message)}" if ended.message else ""
    return f"; it ended with exit {ended.exit_code} ({ended.reason or 'Error'}){message}"


def _has_waited(pod: PodView, now: datetime, patience: timedelta) -> bool:
    since = pod.started or pod.created
    return since is not None and now - since > patience
