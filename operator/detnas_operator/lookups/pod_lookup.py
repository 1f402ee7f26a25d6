"""Why Jobs do not run: their pods, and the events about both."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from detnas_operator.cluster import ClusterError
from detnas_operator.cluster.objects import JobView, Object
from detnas_operator.cluster.pods import (
    MAX_ANSWER_BYTES,
    MAX_PODS,
    EventView,
    PodView,
    pod_selectors,
)
from detnas_operator.cluster.slimming import slim_event, slim_pod
from detnas_operator.job_state.pod_waits import PULLING
from detnas_operator.lookups.namespace_lookup import NamespaceLookup, NamespaceState

MIN_PAUSE_SECONDS = 10.0
MAX_PAUSE_SECONDS = 60.0
"""The pause grows to this while nothing changes in a namespace."""
_PAUSE_GROWTH = 1.5
_MAX_SHARE_OF_TIME = 0.05
"""Share of the time that may be spent on the lists of one namespace."""
_FAILURE_PAUSE_SECONDS = 2.0

MAX_EVENTS = 5000
_EVENTS_OF_EACH = 10


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
        return self.pods.get(job.pods_owner, ())

    def refusal(self, job: JobView) -> str:
        """Return why the Job controller cannot create a pod of this Job; empty if it can.

        A quota or a policy that refuses a pod shows in these events and nowhere else. An
        event that is older than the Job's last pod does not explain a missing one.
        """
        refused = [event for event in self.events.get(job.pods_owner, ()) if event.refuses_a_pod]
        if not refused or self.created.get(job.pods_owner, "") > refused[-1].last_seen:
            return ""
        return refused[-1].message


@dataclass(slots=True)
class _Pods(NamespaceState):
    """What is known of a namespace.

    Attributes:
        observed: what the last lookup that succeeded found.
        pause: seconds until the next, unless a Job changes.
        least: shortest pause in seconds, by the duration of the last lookup.
        error: why the last lookup failed; None if it did not.
    """

    observed: ObservedPods = field(default_factory=ObservedPods)
    pause: float = 0.0
    least: float = 0.0
    error: ClusterError | None = None


class PodLookup(NamespaceLookup[_Pods]):
    """Lists pods and events of a namespace, `MIN_PAUSE_SECONDS` apart or more. Thread-safe."""

    rate = 5.0
    burst = 40.0
    remembered = 120.0

    @staticmethod
    def _uid(job: JobView) -> str:
        return job.pods_owner

    def look_up(self, namespace: str, jobs: Iterable[JobView]) -> ObservedPods:
        """Return what is known of Jobs that do not run, after a lookup if one is due.

        Args:
            namespace: of the Jobs.
            jobs: those that wait; what is returned covers others of the namespace too.

        Raises:
            ClusterError: the last lookup of this namespace failed.
        """
        state = self._observe(namespace, jobs)
        if state.error is not None:
            raise state.error
        return state.observed

    def _new_state(self) -> _Pods:
        return _Pods()

    def _pause(self, state: _Pods) -> float:
        pause = min(state.pause, MIN_PAUSE_SECONDS) if state.changed else state.pause
        return max(pause, state.least)

    def _list(self, namespace: str, state: _Pods) -> None:
        started = self._clock()
        try:
            observed = self._observed(namespace, sorted(state.listed_versions))
        except ClusterError as error:
            state.error, state.pause = error, _FAILURE_PAUSE_SECONDS
        else:
            if state.has_other_jobs or observed != state.observed:
                state.pause = MIN_PAUSE_SECONDS
            else:
                state.pause = min(
                    MAX_PAUSE_SECONDS, max(state.pause, MIN_PAUSE_SECONDS) * _PAUSE_GROWTH
                )
            state.observed, state.error = observed, None
        state.least = min(MAX_PAUSE_SECONDS, (self._clock() - started) / _MAX_SHARE_OF_TIME)

    def _observed(self, namespace: str, uids: list[str]) -> ObservedPods:
        pods: list[PodView] = []
        for selector in pod_selectors(uids):
            listed = self._listed("pods", namespace, selector, "", MAX_PODS)
            pods.extend(map(slim_pod, map(PodView, listed)))
        owned = _by_owner(pods)
        events = _by_subject(self._all_events(namespace, uids, pods))
        refused = {uid for uid in uids if any(event.refuses_a_pod for event in events.get(uid, ()))}
        created: dict[str, str] = {}
        if refused:
            fields = "reason=SuccessfulCreate,involvedObject.kind=Job"
            latest = _by_subject(self._events(namespace, fields, refused))
            created = {uid: some[-1].last_seen for uid, some in latest.items()}
        return ObservedPods({uid: owned[uid] for uid in uids if uid in owned}, events, created)

    def _all_events(
        self, namespace: str, uids: list[str], pods: list[PodView]
    ) -> Iterator[EventView]:
        """Yield the warnings about these Jobs and pods, and which pods pull their image."""
        yield from self._events(namespace, "type=Warning", {*uids, *(pod.uid for pod in pods)})
        # A pending pod that has a node may be pulling its image.
        if starting := {pod.uid for pod in pods if pod.phase == "Pending" and pod.node}:
            fields = f"reason={PULLING},involvedObject.kind=Pod"
            yield from self._events(namespace, fields, starting)

    def _events(self, namespace: str, fields: str, about: set[str]) -> Iterator[EventView]:
        events = map(EventView, self._listed("events", namespace, "", fields, MAX_EVENTS))
        return (slim_event(event) for event in events if event.subject in about)

    def _listed(
        self, kind: str, namespace: str, selector: str, fields: str, most: int
    ) -> Iterator[Object]:
        self._limit.take()
        listed = self._client.list(kind, namespace, selector, fields, max_bytes=MAX_ANSWER_BYTES)
        return islice(listed, most)


def _by_owner(pods: Iterable[PodView]) -> dict[str, tuple[PodView, ...]]:
    """Return pods by the UIDs of their owners; labels may have been changed by others."""
    owned: dict[str, list[PodView]] = {}
    for pod in pods:
        for uid in pod.owner_uids:
            owned.setdefault(uid, []).append(pod)
    return {uid: tuple(some) for uid, some in owned.items()}


def _by_subject(events: Iterable[EventView]) -> dict[str, tuple[EventView, ...]]:
    """Return events by the UID of the object they are about, the latest of each."""
    about: dict[str, list[EventView]] = {}
    for event in sorted(events, key=lambda event: event.last_seen):
        about.setdefault(event.subject, []).append(event)
    return {uid: tuple(some[-_EVENTS_OF_EACH:]) for uid, some in about.items()}
