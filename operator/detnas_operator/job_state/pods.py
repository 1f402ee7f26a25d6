"""A Job's own pods, how their trainer ended, and which of them the operator ends.

A proxy that a webhook adds may never end: the trainer fails, and its pod holds its GPUs forever.
The operator deletes such a pod, and the Job controller counts it as if it had ended by itself: as a
failure, a resumption, or the end of the Job. The pod is then gone, so what was observed of it is
first stored in an annotation of its Job.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from detnas.exit_codes import ExitCode
from detnas_operator.cluster.labels import ENDED_PODS
from detnas_operator.cluster.objects import JobView, Object, parse_time
from detnas_operator.cluster.pod_view import INDEX, PodView
from detnas_operator.job.names import CONTAINER

MAX_TEXT_CHARACTERS = 500
"""Characters of a text from the cluster that a message quotes."""
_MAX_ENDED_PODS = 20
"""Ended pods that are kept of a Job: an annotation holds little."""
_MAX_ANNOTATION_CHARACTERS = 32 * 1024 - 2
"""Characters between its brackets; the cache cuts a longer one."""


def one_line(text: Any) -> str:
    """Return what the cluster reports as one line of bounded length, for a message."""
    line = " ".join(str(text or "").split())
    return line if len(line) <= MAX_TEXT_CHARACTERS else f"{line[:MAX_TEXT_CHARACTERS]}…"


def owned(job: Object, found: Iterable[Object]) -> list[Object]:
    """Return the pods of the Job with this UID: another of its name may have been deleted."""
    uid = JobView(job).uid
    return [pod for pod in found if uid in PodView(pod).owner_uids]


def own_pods(job: Object, found: Iterable[Object]) -> list[Object]:
    """Return a Job's own pods among others, and the ended ones that its annotation keeps."""
    own = owned(job, found)
    there = {PodView(pod).uid for pod in own}
    return own + [pod for pod in kept_pods(job) if PodView(pod).uid not in there]


def is_kept_alive(pod: Object) -> bool:
    """Whether the trainer has ended, and another container keeps the pod from ending.

    Native sidecars do not: the node stops them once the trainer has ended.
    """
    view = PodView(pod)
    if view.has_ended or view.container(CONTAINER).terminated is None:
        return False
    return any(container.terminated is None for container in view.containers)


def has_failed(pod: Object) -> bool:
    """Whether the pod failed, or its trainer did and another container keeps the pod alive."""
    view = PodView(pod)
    return view.phase == "Failed" or (
        is_kept_alive(pod) and bool(view.container(CONTAINER).exit_code)
    )


def is_ignored(pod: Object) -> bool:
    """Whether a failed pod does not count towards the Job's ``backoffLimit``."""
    view = PodView(pod)
    interrupted = view.container(CONTAINER).exit_code == ExitCode.INTERRUPTED
    return interrupted or view.true_condition("DisruptionTarget") is not None


def pods_to_end(job: Object, found: Iterable[Object]) -> list[Object]:
    """Return pods kept alive whose trainer has failed, unless they are being deleted."""
    return [
        pod
        for pod in owned(job, found)
        if is_kept_alive(pod) and has_failed(pod) and not PodView(pod).is_being_deleted
    ]


def has_done_its_work(job: Object, found: Iterable[Object], *, well: bool) -> bool:
    """Whether the trainer of the first worker has ended, and another container keeps its pod.

    Args:
        job: the Job.
        found: its pods, among others.
        well: only an exit with 0 counts.
    """
    for pod in owned(job, found):
        view = PodView(pod)
        if view.index == 0 and is_kept_alive(pod):
            return not (well and view.container(CONTAINER).exit_code)
    return False


def ended_at(pod: Object) -> datetime | None:
    """When the trainer ended, or if it did not run, the last other container; None if unknown."""
    ended = PodView(pod).container(CONTAINER).terminated
    finished = None if ended is None else ended.finished
    return finished or last_end(pod)


def last_end(pod: Object) -> datetime | None:
    """When the last of its ended containers did; None if unknown."""
    view = PodView(pod)
    ended = (one.terminated for one in (*view.containers, *view.init_containers))
    ends = (one.finished for one in ended if one is not None)
    return max((end for end in ends if end is not None), default=None)


def with_ended(job: Object, ended: Sequence[Object], now: datetime) -> str:
    """Return the annotation of a Job with further pods that are about to be deleted.

    Args:
        job: the Job.
        ended: its pods that are about to be deleted.
        now: when they are deleted; they hold their nodes until then.
    """
    known = kept_pods(job)
    there, gone = {PodView(pod).uid for pod in known}, f"{now:%Y-%m-%dT%H:%M:%SZ}"
    briefs = [_brief(pod, pod["metadata"]["deletionTimestamp"]) for pod in known]
    briefs += [_brief(pod, gone) for pod in ended if PodView(pod).uid not in there]
    texts = [json.dumps(brief, separators=(",", ":")) for brief in briefs[-_MAX_ENDED_PODS:]]
    while len(texts) > 1 and sum(map(len, texts)) + len(texts) > _MAX_ANNOTATION_CHARACTERS:
        del texts[0]
    return f"[{','.join(texts)}]"


def kept_pods(job: Object) -> list[Object]:
    """Return the pods in a Job's annotation, as objects; none if the operator did not write it."""
    text = JobView(job).annotations.get(ENDED_PODS)
    if not text:
        return []
    try:
        return [_pod(job, brief) for brief in json.loads(text)[-_MAX_ENDED_PODS:]]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []  # a process that may change Jobs may have changed it


def _brief(pod: Object, gone: str) -> Object:
    view = PodView(pod)
    termination = view.container(CONTAINER).terminated
    ended = {} if termination is None else termination.body
    return {
        "name": view.name,
        "uid": view.uid,
        "index": view.index,
        "node": view.node,
        "taken": view.status.get("startTime"),
        "ended": {
            "exitCode": ended.get("exitCode"),
            "reason": ended.get("reason"),
            "message": one_line(ended.get("message")),
            "startedAt": ended.get("startedAt"),
            "finishedAt": ended.get("finishedAt"),
        },
        "gone": gone,
    }


def _pod(job: Object, brief: Object) -> Object:
    """Rebuild a pod as the API server would have reported it after its end."""
    gone, ended = brief["gone"], {**brief["ended"], "exitCode": int(brief["ended"]["exitCode"])}
    for text in (gone, brief["taken"], ended["startedAt"], ended["finishedAt"]):
        moment = parse_time(text)
        if moment is not None and moment.tzinfo is None:
            raise ValueError("a time without a zone")  # so the operator did not write it
    last = {"terminated": {"exitCode": 0, "finishedAt": gone}}
    return {
        "metadata": {
            "name": str(brief["name"]),
            "uid": str(brief["uid"]),
            "annotations": {INDEX: str(int(brief["index"]))},
            "creationTimestamp": brief["taken"] or gone,
            "deletionTimestamp": gone,
            "ownerReferences": [{"uid": JobView(job).uid}],
        },
        "spec": {"nodeName": str(brief["node"])},
        "status": {
            "phase": "Failed",
            "startTime": brief["taken"],
            "containerStatuses": [
                {"name": CONTAINER, "state": {"terminated": ended}},
                {"name": "others", "state": last},
            ],
        },
    }
