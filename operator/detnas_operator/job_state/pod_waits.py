"""Why a pod that has not ended does not run, by its conditions, its containers and its events."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from detnas.reasons import ReasonCode
from detnas.resource.transitions import IN_A_NEW_SEARCH, MADE_ANEW
from detnas_operator.job_state import pods
from detnas_operator.job_state.container_waits import container_wait
from detnas_operator.job_state.pod_events import is_pulling, latest_warning, said_of_node
from detnas_operator.job_state.states import Waiting

Object = dict[str, Any]

_GPUS = re.compile(r"Insufficient \S+/\S+")
"""In the scheduler's words: what has a domain in its name is a device."""
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
"""In the scheduler's words: it is a claim that keeps a pod from a node."""
_NOT_OF_THE_KUBELET = frozenset({"", "NodeNotReady", "NodeLost"})
"""Why a pod is not ready: the kubelet gives a reason, the node lifecycle controller none."""

_A_WHILE = timedelta(seconds=45)
"""A volume may fail to be mounted once or twice before it is."""
_LONG = timedelta(seconds=90)
_PULLING = timedelta(minutes=10)
"""A trainer's image has some gigabytes."""


def pod_wait(pod: Object, now: datetime, events: Sequence[Object] = ()) -> Waiting | None:
    """Say what a pod waits for; None if its container runs.

    Args:
        pod: one that has not ended.
        now: the time, with its zone.
        events: about this pod, the latest last; those that are not warnings may be missing.
    """
    lost = _lost(pod, now) or _node_not_ready(pod, events)
    if lost is not None:
        return lost
    if pods.container_state(pod, "running") is not None:
        return None
    if pods.container_state(pod, "terminated") is not None:
        return _stopping(pod)
    scheduled = pods.condition(pod, "PodScheduled")
    if scheduled is not None and scheduled["status"] == "False":
        return _unscheduled(pod, scheduled)
    return container_wait(pod, now) or _starting(pod, now, events)


def _lost(pod: Object, now: datetime) -> Waiting | None:
    """A pod that should be gone by now, and whose end its node does not confirm."""
    due = pods.moment(pod["metadata"].get("deletionTimestamp"))
    if due is None or now < due + _LONG or not pods.node(pod):
        return None
    node = pods.node(pod)
    return Waiting(
        ReasonCode.NODE_LOST,
        f"pod {pods.name(pod)} should have stopped at {due:%H:%M:%S} UTC, but node {node} does not "
        f"say so; {_if_it_is_gone()}",
    )


def _node_not_ready(pod: Object, events: Sequence[Object]) -> Waiting | None:
    """A pod that ran when its node was last heard of.

    The node lifecycle controller takes away its readiness, and nothing else; where the pod
    tolerates every taint, it stays so until somebody deletes the node.
    """
    ready = pods.condition(pod, "Ready")
    if ready is None or ready["status"] == "True" or not pods.node(pod):
        return None
    running = pods.container_state(pod, "running") is not None
    if not running or str(ready.get("reason") or "") not in _NOT_OF_THE_KUBELET:
        return None
    words = said_of_node(events) or "the pod's condition Ready is False, and its containers run"
    return Waiting(
        ReasonCode.NODE_LOST,
        f"node {pods.node(pod)} of pod {pods.name(pod)} is not ready ({words}), so that nobody "
        f"knows whether the pod still runs; {_if_it_is_gone()}",
    )


def _if_it_is_gone() -> str:
    return (
        "if the node is gone, delete it, or taint it "
        "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute, and the job runs again elsewhere"
    )


def _stopping(pod: Object) -> Waiting:
    left = [one["name"] for one in pods.statuses(pod) if not pods.state(one, "terminated")]
    others = f" (still running: {', '.join(sorted(left))})" if left else ""
    message = f"the trainer of pod {pods.name(pod)} has ended, the pod is being stopped{others}"
    return Waiting(ReasonCode.STOPPING, message)


def _unscheduled(pod: Object, scheduled: Object) -> Waiting:
    words = pods.one_line(scheduled.get("message") or scheduled.get("reason"))
    if scheduled.get("reason") == "SchedulingGated":
        message = f"pod {pods.name(pod)} is held back by a scheduling gate: {words}"
        return Waiting(ReasonCode.QUEUED, message)
    claims = pods.claims(pod)
    if any(f'persistentvolumeclaim "{claim}" not found' in words for claim in claims):
        advice = "create the claim that spec.dataset.source.persistentVolumeClaim names"
        message = f"pod {pods.name(pod)} has no data set: {words}; {advice}"
        return Waiting(ReasonCode.DATA_MISSING, message)
    about_claims = claims and any(sentence in words for sentence in _VOLUMES)
    advice = _volumes(claims) if about_claims else _room(words)
    message = f"pod {pods.name(pod)} cannot be scheduled: {words.rstrip('.')}; {advice}"
    return Waiting(ReasonCode.UNSCHEDULABLE, message)


def _volumes(claims: Sequence[str]) -> str:
    """Where to look: the scheduler says what is the matter, and does not always name the claim."""
    looks = ", ".join(f"`kubectl describe pvc {claim}`" for claim in claims)
    return f"see what its claims say ({looks})"


def _room(words: str) -> str:
    """What to do about a pod that cannot be scheduled."""
    if _GPUS.search(words):
        return (
            "free or add nodes; where there are no GPUs, set base.gpus, evaluation.gpus, "
            f"finetune.gpus and teachers.gpusPerWorker to 0 {IN_A_NEW_SEARCH}"
        )
    return (
        "free or add nodes; or change spec.jobs (resources, nodeSelector, tolerations, affinity), "
        f"{MADE_ANEW}"
    )


def _unseen(pod: Object, now: datetime) -> Waiting:
    """A pod of which no scheduler has said anything."""
    message = f"pod {pods.name(pod)} waits for a node"
    made = pods.moment(pod["metadata"].get("creationTimestamp"))
    if made is None or now - made <= _LONG:
        return Waiting(ReasonCode.STARTING, message)
    scheduler = pod.get("spec", {}).get("schedulerName") or "default-scheduler"
    message += f" since {made:%H:%M} UTC, and no scheduler has looked at it: is {scheduler} away?"
    return Waiting(ReasonCode.UNSCHEDULABLE, message)


def _starting(pod: Object, now: datetime, events: Sequence[Object]) -> Waiting:
    """A pod whose containers say nothing: its node makes its sandbox, its volumes, or pulls."""
    where = pods.node(pod)
    if not where:
        return _unseen(pod, now)
    message = f"pod {pods.name(pod)} starts on node {where}"
    since = pods.moment(pod.get("status", {}).get("startTime")) or _scheduled_at(pod)
    if since is None or now - since <= _A_WHILE:
        return Waiting(ReasonCode.STARTING, message)
    if warning := latest_warning(events, now):
        said = f"{warning['reason']}: {pods.one_line(warning.get('message'))}"
        message = f"pod {pods.name(pod)} does not start on node {where}: {said}"
        return Waiting(ReasonCode.NOT_STARTING, message)
    if now - since <= (_PULLING if is_pulling(events) else _LONG):
        return Waiting(ReasonCode.STARTING, message)
    message += (
        f" since {since:%H:%M} UTC, and no event says what it waits for: it pulls its image, or "
        f"its node does not answer; look at `kubectl describe pod {pods.name(pod)}` and "
        f"`kubectl describe node {where}`"
    )
    return Waiting(ReasonCode.NOT_STARTING, message)


def _scheduled_at(pod: Object) -> datetime | None:
    """Where its node has not taken the pod in: a dead node never does."""
    scheduled = pods.is_true(pod, "PodScheduled") or {}
    moment = scheduled.get("lastTransitionTime") or pod["metadata"].get("creationTimestamp")
    return pods.moment(moment)
