"""The pods of Jobs and the events about them, as one lookup of a namespace observed them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from detnas_operator.cluster.objects import EventView, Object, ObjectView

EVENTS_EACH = 10


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

        A quota or a policy that refuses a pod shows in these events and nowhere else. An
        event that is older than the Job's last pod does not explain a missing one.
        """
        refused = [one for one in map(EventView, self.events_of(job)) if one.refuses_a_pod]
        if not refused or self.created.get(ObjectView(job).uid, "") > refused[-1].last_seen:
            return ""
        return refused[-1].message


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
