"""Why a pod that has not ended does not run yet."""

import re
from datetime import datetime, timedelta
from typing import Any

from detnas.resource.transitions import IN_A_NEW_SEARCH
from detnas_operator.job import pods
from detnas_operator.job.states import Waiting, WaitingReason

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
_REFUSED = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_GPUS = re.compile(r"Insufficient \S+/\S+")
"""In the scheduler's words: what has a domain in its name is a device."""

_LONG = timedelta(minutes=2)
_PULLING = timedelta(minutes=10)
"""A trainer's image has some gigabytes."""


def pod_wait(pod: Object, now: datetime) -> Waiting | None:
    """Say what a pod waits for; None if its container runs."""
    lost = _lost(pod, now)
    if lost is not None:
        return lost
    if pods.container_state(pod, "running") is not None:
        return None
    scheduled = pods.condition(pod, "PodScheduled")
    if scheduled is not None and scheduled["status"] == "False":
        return _unscheduled(pod, scheduled)
    waiting = pods.container_state(pod, "waiting") or {}
    return _on_node(pod, waiting) or _starting(pod, now)


def _lost(pod: Object, now: datetime) -> Waiting | None:
    """A pod that should be gone by now, and whose end its node does not confirm."""
    due = pods.moment(pod["metadata"].get("deletionTimestamp"))
    if due is None or now < due + _LONG or not pods.node(pod):
        return None
    node = pods.node(pod)
    return Waiting(
        WaitingReason.NODE_LOST,
        f"pod {pods.name(pod)} should have stopped at {due:%H:%M:%S} UTC, but node {node} does not "
        f"say so; if the node is gone, delete it, or taint it "
        f"node.kubernetes.io/out-of-service=nodeshutdown:NoExecute, and the job goes on",
    )


def _unscheduled(pod: Object, scheduled: Object) -> Waiting:
    words = pods.one_line(scheduled.get("message") or scheduled.get("reason"))
    if scheduled.get("reason") == "SchedulingGated":
        message = f"pod {pods.name(pod)} is held back by a scheduling gate: {words}"
        return Waiting(WaitingReason.QUEUED, message)
    if "persistentvolumeclaim" in words.lower():
        advice = "create the claim that spec.dataset.source.persistentVolumeClaim names"
        message = f"pod {pods.name(pod)} can not have its data set: {words}; {advice}"
        return Waiting(WaitingReason.DATA_MISSING, message)
    message = f"pod {pods.name(pod)} fits no node: {words.rstrip('.')}; {_room(words)}"
    return Waiting(WaitingReason.UNSCHEDULABLE, message)


def _room(words: str) -> str:
    """What to do about a pod that fits no node."""
    if _GPUS.search(words):
        return (
            "free or add nodes with GPUs; for CPUs, set base.gpus, evaluation.gpus, finetune.gpus "
            f"and teachers.gpusPerWorker to 0 {IN_A_NEW_SEARCH}"
        )
    return (
        "free or add nodes; or change spec.jobs (resources, nodeSelector, tolerations) "
        f"{IN_A_NEW_SEARCH}"
    )


def _on_node(pod: Object, waiting: Object) -> Waiting | None:
    reason = str(waiting.get("reason") or "")
    words = pods.one_line(waiting.get("message") or reason)
    where = f"pod {pods.name(pod)} on node {pods.node(pod)}"
    if reason in _IMAGE:
        advice = (
            "put the image there, or mend the Secret that it is pulled with; correct its name or "
            f"spec.jobs.imagePullSecrets {IN_A_NEW_SEARCH}"
        )
        message = f"{where} can not have its image: {words}; {advice}"
        return Waiting(WaitingReason.IMAGE_PULL, message)
    if reason not in _REFUSED:
        return None
    if "secret" in words.lower():
        advice = "create the Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        message = f"{where} lacks the credentials of its namespace: {words}; {advice}"
        return Waiting(WaitingReason.CREDENTIALS_MISSING, message)
    return Waiting(WaitingReason.CONTAINER_REFUSED, f"{where} does not start: {reason}: {words}")


def _unseen(pod: Object, now: datetime) -> Waiting:
    """A pod of which no scheduler has said anything."""
    message = f"pod {pods.name(pod)} waits for a node"
    made = pods.moment(pod["metadata"].get("creationTimestamp"))
    if made is None or now - made <= _LONG:
        return Waiting(WaitingReason.STARTING, message)
    scheduler = pod.get("spec", {}).get("schedulerName") or "default-scheduler"
    message += f" since {made:%H:%M} UTC, and no scheduler has looked at it: is {scheduler} away?"
    return Waiting(WaitingReason.UNSCHEDULABLE, message)


def _starting(pod: Object, now: datetime) -> Waiting:
    where = pods.node(pod)
    if not where:
        return _unseen(pod, now)
    message = f"pod {pods.name(pod)} starts on node {where}"
    since = pods.moment(pod.get("status", {}).get("startTime"))
    if since is not None and now - since > _PULLING:
        message += (
            f" since {since:%H:%M} UTC: it pulls its image, or a volume can not be mounted; "
            f"`kubectl describe pod {pods.name(pod)}` says which"
        )
        return Waiting(WaitingReason.NOT_STARTING, message)
    return Waiting(WaitingReason.STARTING, message)
