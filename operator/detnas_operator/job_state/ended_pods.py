"""What was observed of pods that the operator ended, in an annotation of their Job.

Such a pod is deleted, and how it ended is known only as long as it exists.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime

from detnas_operator.cluster.labels import ENDED_PODS
from detnas_operator.cluster.objects import JobView, Object, one_line, parse_time
from detnas_operator.cluster.pods import INDEX, PodView, TerminationView
from detnas_operator.job.names import CONTAINER
from detnas_operator.job_state.pods import owned_by

_MAX_PODS = 20
"""Pods that are recorded of a Job: an annotation holds little."""
_MAX_ANNOTATION_CHARACTERS = 32 * 1024 - 2
"""Characters between its brackets; the cache cuts a longer one."""


def own_pods(job: JobView, pods: Iterable[PodView]) -> list[PodView]:
    """Return a Job's own pods among others, and the ended ones that its annotation records."""
    own = owned_by(job, pods)
    listed = {pod.uid for pod in own}
    return own + [pod for pod in recorded_pods(job) if pod.uid not in listed]


def ended_pods_annotation(job: JobView, ended: Sequence[PodView], now: datetime) -> str:
    """Return the annotation of a Job with further pods that are about to be deleted.

    Args:
        job: the Job.
        ended: its pods that are about to be deleted.
        now: when they are deleted; they hold their nodes until then.
    """
    before = recorded_pods(job)
    recorded, now_text = {pod.uid for pod in before}, f"{now:%Y-%m-%dT%H:%M:%SZ}"
    records = [_record(pod, pod.body["metadata"]["deletionTimestamp"]) for pod in before]
    records += [_record(pod, now_text) for pod in ended if pod.uid not in recorded]
    texts = [json.dumps(record, separators=(",", ":")) for record in records[-_MAX_PODS:]]
    while len(texts) > 1 and sum(map(len, texts)) + len(texts) > _MAX_ANNOTATION_CHARACTERS:
        del texts[0]
    return f"[{','.join(texts)}]"


def recorded_pods(job: JobView) -> list[PodView]:
    """Return the pods in a Job's annotation; none if the operator did not write it."""
    text = job.annotations.get(ENDED_PODS)
    if not text:
        return []
    try:
        return [_pod(job, record) for record in json.loads(text)[-_MAX_PODS:]]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []  # a process that may change Jobs may have changed it


def _record(pod: PodView, deleted: str) -> Object:
    ended = pod.container(CONTAINER).terminated or TerminationView({})
    return {
        "name": pod.name,
        "uid": pod.uid,
        "index": pod.index,
        "node": pod.node,
        "taken": pod.status.get("startTime"),
        "ended": {
            "exitCode": ended.exit_code,
            "reason": ended.body.get("reason"),
            "message": one_line(ended.message),
            "startedAt": ended.body.get("startedAt"),
            "finishedAt": ended.body.get("finishedAt"),
        },
        "gone": deleted,
    }


def _pod(job: JobView, record: Object) -> PodView:
    """Rebuild a pod as the API server would have reported it after its end."""
    deleted, started, ended = record["gone"], record["taken"], record["ended"]
    for text in (deleted, started, ended["startedAt"], ended["finishedAt"]):
        moment = parse_time(text)
        if moment is not None and moment.tzinfo is None:
            raise ValueError("a time without a zone")  # so the operator did not write it
    trainer = {**ended, "exitCode": int(ended["exitCode"])}
    others = {"exitCode": 0, "finishedAt": deleted}
    body = {
        "metadata": {
            "name": str(record["name"]),
            "uid": str(record["uid"]),
            "annotations": {INDEX: str(int(record["index"]))},
            "creationTimestamp": started or deleted,
            "deletionTimestamp": deleted,
            "ownerReferences": [{"uid": job.pods_owner}],
        },
        "spec": {"nodeName": str(record["node"])},
        "status": {
            "phase": "Failed",
            "startTime": started,
            "containerStatuses": [
                {"name": CONTAINER, "state": {"terminated": trainer}},
                {"name": "others", "state": {"terminated": others}},
            ],
        },
    }
    return PodView(body)
