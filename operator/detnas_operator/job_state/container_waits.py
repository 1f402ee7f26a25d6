"""Why a container of a pod that has a node does not start: its own reason, or another container.

Admission webhooks add containers, in any order: proxies beside the trainer, init containers before
it, native sidecars. What one of them waits for is reported under its name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from detnas.reasons import ReasonCode
from detnas.resource.transitions import IN_A_NEW_SEARCH, MADE_ANEW
from detnas_operator.cluster.objects import one_line
from detnas_operator.cluster.pods import ContainerView, PodView
from detnas_operator.job.names import CONTAINER
from detnas_operator.job_state.state import Waiting

_CONFIGURATION_PATIENCE = timedelta(seconds=60)
"""A node reads Secrets and ConfigMaps again within seconds."""
_INIT_PATIENCE = timedelta(seconds=90)
"""An init container that takes longer is reported; until then it is not a failure."""


def container_wait(pod: PodView, now: datetime) -> Waiting | None:
    """Return what a pod on a node waits for, if a container's status reports it."""
    return _before_the_trainer(pod, now) or _beside(pod, now)


def _before_the_trainer(pod: PodView, now: datetime) -> Waiting | None:
    """Init containers run one after the other: the first that is not done blocks the rest."""
    for init in pod.init_containers:
        if not _is_done(pod, init):
            refused = _Unstarted(pod, init, "init container").wait(now)
            return refused or _unfinished(pod, init, now)
    return None


def _beside(pod: PodView, now: datetime) -> Waiting | None:
    trainer_first = sorted(pod.containers, key=lambda container: container.name != CONTAINER)
    waits = (_Unstarted(pod, container, "container").wait(now) for container in trainer_first)
    return next((wait for wait in waits if wait is not None), None)


def _is_done(pod: PodView, init: ContainerView) -> bool:
    if pod.is_sidecar(init.name):
        return init.has_started and init.running is not None
    return init.terminated is not None and not init.exit_code


@dataclass(frozen=True, slots=True)
class _Unstarted:
    """A container that its node may report as waiting.

    Attributes:
        pod: its pod, which has a node.
        container: its status.
        kind: of container, for messages.
    """

    pod: PodView
    container: ContainerView
    kind: Literal["container", "init container"]

    def wait(self, now: datetime) -> Waiting | None:
        """Return why it cannot start; None if its node reports no such reason."""
        explain = _EXPLANATIONS.get(self.reason)
        return None if explain is None else explain(self, now)

    @property
    def reason(self) -> str:
        """Why it waits, in CamelCase; empty if it does not."""
        return str((self.container.waiting or {}).get("reason") or "")

    @property
    def reported(self) -> str:
        """The same for people."""
        return one_line((self.container.waiting or {}).get("message") or self.reason)

    @property
    def is_added(self) -> bool:
        """Whether something in the cluster added it to the pod."""
        return self.container.name != CONTAINER

    @property
    def where(self) -> str:
        """Its pod and node, for messages."""
        return f"pod {self.pod.name} on node {self.pod.node}"


def _without_image(unstarted: _Unstarted, now: datetime) -> Waiting:  # noqa: ARG001
    if unstarted.is_added:
        image = f"the image of its {unstarted.kind} {unstarted.container.name}"
        advice = "something in the cluster added that container: contact whoever operates it"
    else:
        image = "its image"
        advice = (
            "put the image there, or correct the Secret that it is pulled with; or change "
            f"spec.jobs.imagePullSecrets, {MADE_ANEW}; correct its name {IN_A_NEW_SEARCH}"
        )
    message = f"{unstarted.where} cannot get {image}: {unstarted.reported}; {advice}"
    return Waiting(ReasonCode.IMAGE_PULL, message)


def _without_configuration(unstarted: _Unstarted, now: datetime) -> Waiting:
    """Also reported while the node has not read a Secret or ConfigMap yet that exists."""
    where, reported = unstarted.where, unstarted.reported
    if not unstarted.is_added and (secret := _missing_secret(unstarted.pod, reported)):
        advice = f"create the Secret {secret} with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        message = f"{where} lacks the credentials of its namespace: {reported}; {advice}"
        return Waiting(ReasonCode.CREDENTIALS_MISSING, message)
    if not _has_waited(unstarted.pod, now, _CONFIGURATION_PATIENCE):
        return Waiting(ReasonCode.STARTING, f"{where} starts: {unstarted.reason}: {reported}")
    return _refused(unstarted, now)


def _refused(unstarted: _Unstarted, now: datetime) -> Waiting:  # noqa: ARG001
    container, is_init = unstarted.container, unstarted.kind == "init container"
    which = f"its {unstarted.kind} {container.name}" if unstarted.is_added else "its container"
    message = (
        f"{unstarted.where} does not start {which}: {unstarted.reason}: "
        f"{unstarted.reported}{_last_end(container)}"
    )
    return Waiting(ReasonCode.INIT_CONTAINER if is_init else ReasonCode.CONTAINER_REFUSED, message)


_EXPLANATIONS: dict[str, Callable[[_Unstarted, datetime], Waiting]] = {
    "ErrImagePull": _without_image,
    "ImagePullBackOff": _without_image,
    "InvalidImageName": _without_image,
    "ErrImageNeverPull": _without_image,
    "RegistryUnavailable": _without_image,
    "ImageInspectError": _without_image,
    "SignatureValidationFailed": _without_image,
    "CreateContainerConfigError": _without_configuration,
    "CreateContainerError": _refused,
    "RunContainerError": _refused,
    "CrashLoopBackOff": _refused,
}
"""By the reason why a container waits; with others it may start by itself."""


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
    """An init container that does not end and gives no reason; reported after `_INIT_PATIENCE`."""
    since = init.running_since
    if since is None or now - since <= _INIT_PATIENCE:
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
