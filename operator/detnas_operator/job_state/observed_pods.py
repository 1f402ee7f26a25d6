"""The pods of Jobs and the events about them, as one lookup of a namespace observed them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from detnas_operator.cluster.objects import EventView, JobView
from detnas_operator.cluster.pod_view import PodView

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

    pods: Mapping[str, tuple[PodView, ...]] = field(default_factory=dict)
    events: Mapping[str, tuple[EventView, ...]] = field(default_factory=dict)
    created: Mapping[str, str] = field(default_factory=dict)

    def pods_of(self, job: JobView) -> tuple[PodView, ...]:
        """Return a Job's own pods, ended ones too."""
        return self.pods.get(job.uid, ())

    def refusal(self, job: JobView) -> str:
        """Return why the Job controller cannot create a pod of this Job; empty if it can.

        A quota or a policy that refuses a pod shows in these events and nowhere else. An
        event that is older than the Job's last pod does not explain a missing one.
        """
        refused = [event for event in self.events.get(job.uid, ()) if event.refuses_a_pod]
        if not refused or self.created.get(job.uid, "") > refused[-1].last_seen:
            return ""
        return refused[-1].message


def by_owner(pods: Iterable[PodView]) -> dict[str, tuple[PodView, ...]]:
    """Return pods by the UIDs of their owners; labels may have been changed by others."""
    owned: dict[str, list[PodView]] = {}
    for pod in pods:
        for uid in pod.owner_uids:
            owned.setdefault(uid, []).append(pod)
    return {uid: tuple(some) for uid, some in owned.items()}


def by_subject(events: Iterable[EventView]) -> dict[str, tuple[EventView, ...]]:
    """Return events by the UID of the object they are about, the latest of each."""
    about: dict[str, list[EventView]] = {}
    for event in sorted(events, key=lambda event: event.last_seen):
        about.setdefault(event.subject, []).append(event)
    return {uid: tuple(some[-EVENTS_EACH:]) for uid, some in about.items()}
