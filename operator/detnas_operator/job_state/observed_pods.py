"""The pods of Jobs and the events about them, as one lookup of a namespace observed them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from detnas_operator.cluster.objects import EventView, Object, ObjectView
from detnas_operator.cluster.pod_view import INDEX, PodView

LONGEST_TEXT = 2000
"""Characters; an event's message is cut at this length."""
LONGEST_MESSAGE = 4096
"""Characters of a text in a pod's object: a kubelet's longest, whose last line is read."""
LONGEST_LIST = 40
"""Entries of a list in a pod's object, such as its containers."""
EVENTS_EACH = 10
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
    "count",
    "series",
    "firstTimestamp",
    "lastTimestamp",
    "eventTime",
    "involvedObject",
    "source",
    "reportingComponent",
)


@dataclass(frozen=True, slots=True)
class ObservedPods:
    """Pods and events, as last listed.

    Attributes:
        pods: by the UID of the Job that owns them.
        events: warnings by the UID of the pod or Job they are about, the latest last; with them,
            that an image is being pulled.
        created: when the Job controller last created a pod of a Job, by the Job's UID; only of
            Jobs of which a pod was refused.
    """

    pods: Mapping[str, tuple[Object, ...]] = field(default_factory=dict)
    events: Mapping[str, tuple[Object, ...]] = field(default_factory=dict)
    created: Mapping[str, str] = field(default_factory=dict)

    def pods_of(self, job: Object) -> tuple[Object, ...]:
        """Return a Job's own pods, ended ones too."""
        return self.pods.get(ObjectView(job).uid, ())

    def events_of(self, body: Object) -> tuple[Object, ...]:
        """Return the warnings about a pod or a Job, the latest last."""
        return self.events.get(ObjectView(body).uid, ())

    def refusal(self, job: Object) -> str:
        """Return why the Job controller cannot create a pod of this Job; empty if it can.

        A quota or a policy that refuses a pod shows in these events and nowhere else. One that is
        older than the Job's last pod does not explain the next.
        """
        refused = [one for one in map(EventView, self.events_of(job)) if one.refuses_a_pod]
        if not refused or self.created.get(ObjectView(job).uid, "") > refused[-1].last_seen:
            return ""
        return refused[-1].message


def slim_pod(pod: Object) -> Object:
    """Return what is read of a pod, in bounded size: others may write any annotation into it."""
    slim: Object = {
        part: _picked(pod.get(part) or {}, names, LONGEST_MESSAGE) for part, names in _POD.items()
    }
    for kind in ("containers", "initContainers"):
        found = (pod.get("spec") or {}).get(kind) or ()
        slim["spec"][kind] = [
            _picked(one, _CONTAINER, LONGEST_MESSAGE) for one in found[:LONGEST_LIST]
        ]
    claims = PodView(pod).claims[:LONGEST_LIST]
    slim["spec"]["volumes"] = [{"persistentVolumeClaim": {"claimName": one}} for one in claims]
    if (index := PodView(pod).annotations.get(INDEX)) is not None:
        slim["metadata"]["annotations"] = {INDEX: index[:_DIGITS]}
    return slim


def slim_event(event: Object) -> Object:
    """Return what is read of an event, in bounded size."""
    return _picked(event, _EVENT, LONGEST_TEXT)


def by_owner(pods: Iterable[Object]) -> dict[str, tuple[Object, ...]]:
    """Return pods by the UIDs of their owners; labels may have been changed by others."""
    found: dict[str, list[Object]] = {}
    for pod in pods:
        for uid in ObjectView(pod).owner_uids:
            found.setdefault(uid, []).append(pod)
    return {uid: tuple(some) for uid, some in found.items()}


def by_subject(events: Iterable[Object]) -> dict[str, tuple[Object, ...]]:
    """Return events by the UID of the object they are about, the latest of each."""
    found: dict[str, list[Object]] = {}
    for event in sorted(events, key=lambda one: EventView(one).last_seen):
        found.setdefault(EventView(event).subject, []).append(event)
    return {uid: tuple(some[-EVENTS_EACH:]) for uid, some in found.items()}


def _picked(body: Object, names: Iterable[str], longest: int) -> Object:
    return {name: _bounded(body[name], longest) for name in names if name in body}


def _bounded(value: Any, longest: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= longest else f"{value[:longest]}…"
    if isinstance(value, list):
        return [_bounded(one, longest) for one in value[:LONGEST_LIST]]
    if isinstance(value, dict):
        some = list(value.items())[:LONGEST_LIST]
        return {name: _bounded(one, longest) for name, one in some}
    return value
