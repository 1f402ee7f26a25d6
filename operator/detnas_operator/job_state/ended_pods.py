"""Pods that the operator ends, since only a foreign container keeps them alive.

Whoever adds a proxy by a webhook may add one that never ends: the trainer fails, and its pod holds
its GPUs for ever. The pod is deleted, and the Job controller counts it as it would have ended by
itself: as a failure, a resumption, or the end of the Job. It is gone then, so what was seen of it
is kept in an annotation of its Job before.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from detnas_operator.job.labels import ENDED_PODS
from detnas_operator.job.names import CONTAINER
from detnas_operator.job_state import pods

Object = dict[str, Any]

_MOST = 20
"""That are kept of a Job: an annotation holds little."""
_LONGEST = 32 * 1024 - 2
"""Characters of the annotation between its brackets; the cache cuts a longer one."""


def own_pods(job: Object, found: Iterable[Object]) -> list[Object]:
    """Return a Job's own pods among others, and those it had that are kept in its annotation."""
    own = pods.owned(job, found)
    there = {pods.uid(pod) for pod in own}
    return own + [pod for pod in kept_pods(job) if pods.uid(pod) not in there]


def pods_to_end(job: Object, found: Iterable[Object]) -> list[Object]:
    """Return the pods whose trainer has failed, and which nobody has deleted so far."""
    return [
        pod
        for pod in pods.owned(job, found)
        if pods.is_kept_alive(pod)
        and pods.has_failed(pod)
        and "deletionTimestamp" not in pod["metadata"]
    ]


def has_done_its_work(job: Object, found: Iterable[Object], *, well: bool) -> bool:
    """Whether the trainer of the first worker has ended, and another container keeps its pod.

    Args:
        job: the Job.
        found: its pods, among others.
        well: only an exit with 0 counts.
    """
    for pod in pods.owned(job, found):
        ended = pods.container_state(pod, "terminated") or {}
        if pods.index(pod) == 0 and pods.is_kept_alive(pod):
            return not (well and ended.get("exitCode"))
    return False


def with_ended(job: Object, ended: Sequence[Object], now: datetime) -> str:
    """Return the annotation of a Job once more of its pods are ended.

    Args:
        job: the Job.
        ended: its pods that are about to be deleted.
        now: when: the pods hold their nodes until then.
    """
    known = kept_pods(job)
    there, gone = {pods.uid(pod) for pod in known}, f"{now:%Y-%m-%dT%H:%M:%SZ}"
    briefs = [_brief(pod, pod["metadata"]["deletionTimestamp"]) for pod in known]
    briefs += [_brief(pod, gone) for pod in ended if pods.uid(pod) not in there]
    texts = [json.dumps(brief, separators=(",", ":")) for brief in briefs[-_MOST:]]
    while len(texts) > 1 and sum(map(len, texts)) + len(texts) > _LONGEST:
        del texts[0]
    return f"[{','.join(texts)}]"


def kept_pods(job: Object) -> list[Object]:
    """Return the pods in a Job's annotation, as objects; none where it is not ours."""
    text = (job["metadata"].get("annotations") or {}).get(ENDED_PODS)
    if not text:
        return []
    try:
        return [_pod(job, brief) for brief in json.loads(text)[-_MOST:]]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []  # whoever may change Jobs may have changed it


def _brief(pod: Object, gone: str) -> Object:
    ended = pods.container_state(pod, "terminated") or {}
    return {
        "name": pods.name(pod),
        "uid": pods.uid(pod),
        "index": pods.index(pod),
        "node": pods.node(pod),
        "taken": pod.get("status", {}).get("startTime"),
        "ended": {
            "exitCode": ended.get("exitCode"),
            "reason": ended.get("reason"),
            "message": pods.one_line(ended.get("message")),
            "startedAt": ended.get("startedAt"),
            "finishedAt": ended.get("finishedAt"),
        },
        "gone": gone,
    }


def _pod(job: Object, brief: Object) -> Object:
    """A pod as the API server would have shown it in the end."""
    gone, ended = brief["gone"], {**brief["ended"], "exitCode": int(brief["ended"]["exitCode"])}
    for text in (gone, brief["taken"], ended["startedAt"], ended["finishedAt"]):
        moment = pods.moment(text)
        if moment is not None and moment.tzinfo is None:
            raise ValueError("a time without a zone")  # so it is none of ours
    last = {"terminated": {"exitCode": 0, "finishedAt": gone}}
    return {
        "metadata": {
            "name": str(brief["name"]),
            "uid": str(brief["uid"]),
            "annotations": {pods.INDEX: str(int(brief["index"]))},
            "creationTimestamp": brief["taken"] or gone,
            "deletionTimestamp": gone,
            "ownerReferences": [{"uid": job["metadata"]["uid"]}],
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
