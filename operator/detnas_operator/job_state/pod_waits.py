"""Why a pod that has not ended does not run, by its conditions, its containers and its events."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from detnas.reasons import ReasonCode
from detnas.resource.transitions import IN_A_NEW_SEARCH, MADE_ANEW
from detnas_operator.cluster.objects import ConditionView, one_line, parse_time
from detnas_operator.cluster.pods import EventView, PodView
from detnas_operator.job.names import CONTAINER
from detnas_operator.job_state.container_waits import container_wait
from detnas_operator.job_state.state import Waiting

_GPUS = re.compile(r"Insufficient \S+/\S+")
"""In the scheduler's message: what has a domain in its name is a device."""
_VOLUMES = (
    'persistentvolumeclaim "',
    "pod has unbound immediate PersistentVolumeClaims",
    "pod using PersistentVolumeClaim with the same name",
    "unavailable due to PersistentVolumeClaim",
    "unavailable due to one or more pvc(s)",
    "didn't find available persistent volumes to bind",
    "didn't match PersistentVolume's node affinity",
    "had volume node affinity conflict",
    "did not have enough free storage",
    "had no available volume zone",
)
"""In the scheduler's message: a claim keeps the pod from a node."""
_NOT_OF_THE_KUBELET = frozenset({"", "NodeNotReady", "NodeLost"})
"""Why a pod is not ready: the kubelet gives a reason, the node lifecycle controller none."""

_MOUNT_PATIENCE = timedelta(seconds=45)
"""A volume may fail to be mounted once or twice before it is."""
_START_PATIENCE = timedelta(seconds=90)
_PULL_PATIENCE = timedelta(minutes=10)
"""A trainer's image has several gigabytes."""

_MAX_WARNING_AGE = timedelta(minutes=10)
"""Older warnings are ignored: what still fails is retried, and reported, more often than this."""
_CAUSES = ("FailedAttachVolume", "FailedMount", "FailedMapVolume", "FailedCreatePodSandBox")
"""The first is the cause of those after it."""
_SCHEDULER = "FailedScheduling"
"""The pod's condition says the same, and says when it is over."""
PULLING = "Pulling"
_NOT_PULLED = frozenset({"Failed", "BackOff"})

_IF_IT_IS_GONE = (
    "if the node is gone, delete it, or taint it "
    "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute, and the Job runs again elsewhere"
)


def pod_wait(pod: PodView, now: datetime, events: Sequence[EventView]) -> Waiting | None:
    """Return what a pod waits for; None if its container runs.

    Args:
        pod: one that has not ended.
        now: the time, with its zone.
        events: about this pod, the latest last; those that are not warnings may be missing.
    """
    lost = _lost(pod, now) or _node_not_ready(pod, events)
    if lost is not None:
        return lost
    trainer = pod.container(CONTAINER)
    if trainer.running is not None:
        return None
    if trainer.terminated is not None:
        return _stopping(pod)
    scheduled = pod.condition("PodScheduled")
    if scheduled is not None and scheduled.status == "False":
        return _unscheduled(pod, scheduled)
    return container_wait(pod, now) or _starting(pod, now, events)


def _lost(pod: PodView, now: datetime) -> Waiting | None:
    """A pod that should be gone already, and whose end its node does not confirm."""
    due = pod.deleted
    if due is None or now < due + _START_PATIENCE or not pod.node:
        return None
    return Waiting(
        ReasonCode.NODE_LOST,
        f"pod {pod.name} should have stopped at {due:%H:%M:%S} UTC, but node {pod.node} does not "
        f"confirm it; {_IF_IT_IS_GONE}",
    )


def _node_not_ready(pod: PodView, events: Sequence[EventView]) -> Waiting | None:
    """A pod that ran when its node last reported.

    The node lifecycle controller takes away its readiness, and nothing else; where the pod
    tolerates every taint, it stays so until somebody deletes the node.
    """
    ready = pod.condition("Ready")
    if ready is None or ready.is_true or not pod.node:
        return None
    running = pod.container(CONTAINER).running is not None
    if not running or ready.reason not in _NOT_OF_THE_KUBELET:
        return None
    reported = [event for event in events if event.reason == "NodeNotReady"]
    why = "the pod's condition Ready is False, and its containers run"
    if reported:
        why = f"NodeNotReady: {one_line(reported[-1].message)}"
    return Waiting(
        ReasonCode.NODE_LOST,
        f"node {pod.node} of pod {pod.name} is not ready ({why}), so that nobody "
        f"knows whether the pod still runs; {_IF_IT_IS_GONE}",
    )


def _stopping(pod: PodView) -> Waiting:
    left = [container.name for container in pod.containers if container.terminated is None]
    others = f" (still running: {', '.join(sorted(left))})" if left else ""
    message = f"the trainer of pod {pod.name} has ended, the pod is being stopped{others}"
    return Waiting(ReasonCode.STOPPING, message)


def _unscheduled(pod: PodView, scheduled: ConditionView) -> Waiting:
    reported = one_line(scheduled.message or scheduled.reason)
    if scheduled.reason == "SchedulingGated":
        message = f"pod {pod.name} is held back by a scheduling gate: {reported}"
        return Waiting(ReasonCode.QUEUED, message)
    if any(f'persistentvolumeclaim "{claim}" not found' in reported for claim in pod.claims):
        advice = "create the claim that spec.dataset.source.persistentVolumeClaim names"
        message = f"pod {pod.name} has no data set: {reported}; {advice}"
        return Waiting(ReasonCode.DATA_MISSING, message)
    about_claims = pod.claims and any(sentence in reported for sentence in _VOLUMES)
    advice = _volume_advice(pod.claims) if about_claims else _node_advice(reported)
    message = f"pod {pod.name} cannot be scheduled: {reported.rstrip('.')}; {advice}"
    return Waiting(ReasonCode.UNSCHEDULABLE, message)


def _volume_advice(claims: Sequence[str]) -> str:
    """Where to look: the scheduler states the problem, and does not always name the claim."""
    commands = ", ".join(f"`kubectl describe pvc {claim}`" for claim in claims)
    return f"see what its claims say ({commands})"


def _node_advice(reported: str) -> str:
    if _GPUS.search(reported):
        return (
            "free or add nodes; where there are no GPUs, set base.gpus, evaluation.gpus, "
            f"finetune.gpus and teachers.gpusPerWorker to 0 {IN_A_NEW_SEARCH}"
        )
    return (
        "free or add nodes; or change spec.jobs (resources, nodeSelector, tolerations, affinity), "
        f"{MADE_ANEW}"
    )


def _without_node(pod: PodView, now: datetime) -> Waiting:
    """A pod of which no scheduler has reported anything."""
    message = f"pod {pod.name} waits for a node"
    made = pod.created
    if made is None or now - made <= _START_PATIENCE:
        return Waiting(ReasonCode.STARTING, message)
    scheduler = pod.spec.get("schedulerName") or "default-scheduler"
    message += (
        f" since {made:%H:%M} UTC, and no scheduler has looked at it: is {scheduler} running?"
    )
    return Waiting(ReasonCode.UNSCHEDULABLE, message)


def _starting(pod: PodView, now: datetime, events: Sequence[EventView]) -> Waiting:
    """A pod whose containers report nothing: its node prepares sandbox or volumes, or pulls."""
    if not pod.node:
        return _without_node(pod, now)
    message = f"pod {pod.name} starts on node {pod.node}"
    since = pod.started or _scheduled_at(pod)
    if since is None or now - since <= _MOUNT_PATIENCE:
        return Waiting(ReasonCode.STARTING, message)
    if warning := _latest_warning(events, now):
        reported = f"{warning.reason}: {one_line(warning.message)}"
        message = f"pod {pod.name} does not start on node {pod.node}: {reported}"
        return Waiting(ReasonCode.NOT_STARTING, message)
    if now - since <= (_PULL_PATIENCE if _is_pulling(events) else _START_PATIENCE):
        return Waiting(ReasonCode.STARTING, message)
    message += (
        f" since {since:%H:%M} UTC, and no event says what it waits for: it pulls its image, or "
        f"its node does not answer; look at `kubectl describe pod {pod.name}` and "
        f"`kubectl describe node {pod.node}`"
    )
    return Waiting(ReasonCode.NOT_STARTING, message)


def _scheduled_at(pod: PodView) -> datetime | None:
    """When a pod was scheduled; that of a dead node has no start time."""
    scheduled = pod.true_condition("PodScheduled")
    return (None if scheduled is None else scheduled.changed) or pod.created


def _latest_warning(events: Sequence[EventView], now: datetime) -> EventView | None:
    """Return the warning that explains best why a pod does not start; None if all are old."""
    fresh = [
        event
        for event in events
        if event.is_warning and event.reason != _SCHEDULER and _is_fresh(event, now)
    ]
    return min(fresh, key=_importance, default=None)


def _is_pulling(events: Sequence[EventView]) -> bool:
    """Whether the latest event about an image is that it is being pulled."""
    of_images = [event for event in events if event.reason in {PULLING, *_NOT_PULLED}]
    return bool(of_images) and max(of_images, key=lambda event: event.last_seen).reason == PULLING


def _is_fresh(event: EventView, now: datetime) -> bool:
    seen = parse_time(event.last_seen)
    return seen is None or now - seen <= _MAX_WARNING_AGE


def _importance(event: EventView) -> tuple[int, str, str]:
    """Sort key: the first cause first, and the same event in every pass."""
    rank = _CAUSES.index(event.reason) if event.reason in _CAUSES else len(_CAUSES)
    return rank, event.reason, event.message
