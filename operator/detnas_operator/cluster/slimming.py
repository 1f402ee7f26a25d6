"""Reduces objects to the fields that are read, in bounded size, before they are held in memory.

A tenant that may write objects could otherwise fill the operator's memory.
"""

from collections.abc import Iterable
from typing import Any

from detnas_operator.cluster.jobsets import as_job, is_jobset, jobset_of
from detnas_operator.cluster.labels import (
    ACCEPT,
    ADOPT,
    APP,
    ENDED_PODS,
    MANAGED_BY,
    NUMBER,
    QUEUE,
    SEARCH,
    SETTLED,
    TTL,
    VERB,
)
from detnas_operator.cluster.objects import JobView, Object
from detnas_operator.cluster.pods import INDEX, EventView, PodView
from detnas_operator.cluster.searches import owning_search

_KEPT_METADATA = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "labels",
    "annotations",
    "creationTimestamp",
    "deletionTimestamp",
    "finalizers",
    "ownerReferences",
)
_KEPT_JOB_SPEC = (
    "suspend",
    "parallelism",
    "ttlSecondsAfterFinished",
    "activeDeadlineSeconds",
    "managedBy",
)
_KEPT_JOB_STATUS = (
    "conditions",
    "startTime",
    "completionTime",
    "active",
    "ready",
    "failed",
)
_KEPT_LABELS = frozenset({APP, MANAGED_BY, NUMBER, SEARCH, VERB, QUEUE})
_SHORT = 1024
_KEPT_ANNOTATIONS = {
    SETTLED: _SHORT,
    ACCEPT: _SHORT,
    ADOPT: _SHORT,
    ENDED_PODS: 32 * 1024,
    TTL: _SHORT,
}
"""Annotations that are read, and the longest value that is written or expected, in characters."""
_MAX_FINALIZERS = 20
"""Finalizers that are retained of a Job: they are only named."""
_MAX_EVENT_CHARACTERS = 2000
"""Characters; an event's message is cut at this length."""
_MAX_POD_CHARACTERS = 4096
"""Characters of a text in a pod's object: a kubelet's longest, whose last line is read."""
_MAX_LIST_ENTRIES = 40
"""Entries of a list in a pod's object, such as its containers."""
_DIGITS = 9
"""Of a worker's index."""

_POD = {
    "metadata": (
        "name",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "finalizers",
        "ownerReferences",
    ),
    "spec": ("nodeName", "schedulerName", "schedulingGates"),
    "status": (
        "phase",
        "reason",
        "message",
        "startTime",
        "conditions",
        "containerStatuses",
        "initContainerStatuses",
    ),
}
_CONTAINER = ("name", "restartPolicy", "envFrom")
_EVENT = (
    "type",
    "reason",
    "message",
    "series",
    "lastTimestamp",
    "eventTime",
    "involvedObject",
)


def slim_search(body: Object) -> Object:
    """Return what is retained of a search: all but managedFields and kubectl's copy of it."""
    return {
        "metadata": _slim_metadata(body),
        "spec": body.get("spec") or {},
        "status": body.get("status") or {},
    }


def slim_job(body: Object) -> Object:
    """Return what is retained of a Job: what is read, so that other changes need no pass.

    A JobSet is returned as a Job.
    """
    body = as_job(body) if is_jobset(body) else body
    spec, status, metadata = body.get("spec") or {}, body.get("status") or {}, _slim_metadata(body)
    if "finalizers" in metadata:
        metadata["finalizers"] = metadata["finalizers"][:_MAX_FINALIZERS]
    if owners := metadata.get("ownerReferences"):
        metadata["ownerReferences"] = [owner for owner in owners if owner.get("controller")]
    return {
        **{field: body[field] for field in ("kind", "child") if is_jobset(body) and field in body},
        "metadata": metadata,
        "spec": {field: spec[field] for field in _KEPT_JOB_SPEC if field in spec},
        "status": {field: status[field] for field in _KEPT_JOB_STATUS if field in status},
    }


def slim_own_job(body: Object) -> Object | None:
    """Return what is retained of a Job; None if neither a search nor a JobSet of one owns it."""
    job = JobView(body)
    return None if owning_search(job) is None and not jobset_of(job) else slim_job(body)


def _slim_metadata(body: Object) -> Object:
    metadata = body["metadata"]
    slim = {field: metadata[field] for field in _KEPT_METADATA if field in metadata}
    if labels := slim.get("labels"):
        slim["labels"] = {name: labels[name] for name in _KEPT_LABELS & labels.keys()}
    if annotations := slim.get("annotations"):
        kept = _KEPT_ANNOTATIONS.keys() & annotations.keys()
        slim["annotations"] = {name: annotations[name][: _KEPT_ANNOTATIONS[name]] for name in kept}
    return slim


def slim_pod(pod: PodView) -> PodView:
    """Return what is read of a pod, in bounded size: others may write any annotation into it."""
    slim: Object = {
        part: _picked(pod.body.get(part) or {}, names, _MAX_POD_CHARACTERS)
        for part, names in _POD.items()
    }
    for kind in ("containers", "initContainers"):
        containers = pod.spec.get(kind) or ()
        slim["spec"][kind] = [
            _picked(container, _CONTAINER, _MAX_POD_CHARACTERS)
            for container in containers[:_MAX_LIST_ENTRIES]
        ]
    claims = pod.claims[:_MAX_LIST_ENTRIES]
    slim["spec"]["volumes"] = [{"persistentVolumeClaim": {"claimName": claim}} for claim in claims]
    if (index := pod.annotations.get(INDEX)) is not None:
        slim["metadata"]["annotations"] = {INDEX: index[:_DIGITS]}
    return PodView(slim)


def slim_event(event: EventView) -> EventView:
    """Return what is read of an event, in bounded size."""
    return EventView(_picked(event.body, _EVENT, _MAX_EVENT_CHARACTERS))


def _picked(body: Object, names: Iterable[str], longest: int) -> Object:
    return {name: _bounded(body[name], longest) for name in names if name in body}


def _bounded(value: Any, longest: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= longest else f"{value[:longest]}…"
    if isinstance(value, list):
        return [_bounded(item, longest) for item in value[:_MAX_LIST_ENTRIES]]
    if isinstance(value, dict):
        items = list(value.items())[:_MAX_LIST_ENTRIES]
        return {name: _bounded(item, longest) for name, item in items}
    return value
