"""Why Jobs do not run: pods and events, listed for all searches of a namespace together.

They are not watched: a namespace has any number of pods that are not ours. A look is made when a
pass asks and the last one is too old; other passes take the last one as it is.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

from detnas_operator.cluster import ClusterError
from detnas_operator.job_state.observed_pods import (
    ObservedPods,
    by_object,
    by_owner,
    last_seen,
    slim_event,
    slim_pod,
    subject,
)
from detnas_operator.job_state.pod_events import PULLING
from detnas_operator.job_state.pods import node, phase, uid

Object = dict[str, Any]

SHORTEST_PAUSE = 10.0
LONGEST_PAUSE = 60.0
"""A namespace in which nothing changes is listed less and less often, down to this."""
_SLOWER = 1.5
_SHARE = 0.05
"""Of its time that the operator may spend on one namespace's lists."""
_AFTER_A_FAILURE = 2.0
RATE = 5.0
"""Requests a second, over all namespaces."""
BURST = 40.0
_FORGOTTEN_AFTER = 120.0
"""Seconds since a pass last asked for a Job."""

MOST_PODS = 2000
"""Pods that are looked at: whoever may make pods could make any number with our labels."""
MOST_EVENTS = 5000
JOBS_A_LIST = 150
"""UIDs in one label selector: longer addresses do not pass every proxy."""
MOST_BYTES = 8 << 20
"""Of one answer: a page with more is read in smaller pages."""

_UID = "batch.kubernetes.io/controller-uid"
"""The Job controller selects its own pods by this label."""


class Lister(Protocol):
    """The part of the Kubernetes client that is used here."""

    def list(
        self,
        kind: str,
        namespace: str | None,
        selector: str = "",
        fields: str = "",
        *,
        most_bytes: int | None = None,
    ) -> Iterator[Object]:
        """Yield objects page by page."""


@dataclass(slots=True)
class _Place:
    """What is known of a namespace.

    Attributes:
        asked: when a Job was last asked for, by UID.
        newest: version of each Job as last asked for, by UID.
        versions: the same at the last look.
        seen: what the last look found.
        looked: when that was.
        pause: seconds until the next.
        least: seconds that the pause has at least, for the time that the last look took.
        error: why the last look failed; none if it did not.
    """

    asked: dict[str, float] = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    seen: ObservedPods = field(default_factory=ObservedPods)
    looked: float = float("-inf")
    pause: float = 0.0
    least: float = 0.0
    error: ClusterError | None = None


class PodLookup:
    """Looks at namespaces, one at a time, each at most every `SHORTEST_PAUSE` seconds.

    Thread-safe.

    Args:
        client: lists.
        clock: seconds, monotonic.
    """

    def __init__(self, client: Lister, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._places: dict[str, _Place] = {}
        self._tokens, self._counted = BURST, clock()

    def look(self, namespace: str, jobs: Iterable[Object]) -> ObservedPods:
        """Return what is known of Jobs that do not run, and perhaps list it anew.

        Args:
            namespace: of the Jobs.
            jobs: those that wait; what is returned covers others of the namespace too.

        Raises:
            ClusterError: the last look at this namespace failed.
        """
        with self._lock:
            place = self._places.setdefault(namespace, _Place())
            self._ask(place, jobs)
        if self._looking.acquire(blocking=False):
            try:
                if self._is_due(place):
                    self._renew(namespace, place)
            finally:
                self._looking.release()
        if place.error is not None:
            raise place.error
        return place.seen

    def namespaces(self) -> list[str]:
        """Return the namespaces of which something is kept."""
        with self._lock:
            return sorted(self._places)

    def _ask(self, place: _Place, jobs: Iterable[Object]) -> None:
        now = self._clock()
        for job in jobs:
            uid = str(job["metadata"]["uid"])
            place.asked[uid] = now
            place.newest[uid] = str(job["metadata"].get("resourceVersion", ""))
            if place.versions.get(uid) != place.newest[uid]:
                place.pause = min(place.pause, SHORTEST_PAUSE)
        _forget_unasked(place, now)

    def _is_due(self, place: _Place) -> bool:
        now = self._clock()
        with self._lock:
            self._tokens = min(BURST, self._tokens + RATE * (now - self._counted))
            self._counted = now
            return self._tokens > 0 and now - place.looked >= max(place.pause, place.least)

    def _renew(self, namespace: str, place: _Place) -> None:
        with self._lock:
            versions = dict(place.newest)
        started = self._clock()
        try:
            seen, error = self._listed(namespace, sorted(versions)), None
        except ClusterError as failure:
            seen, error = place.seen, failure
        now = self._clock()
        with self._lock:
            pause = _next_pause(place, seen, versions)
            place.pause = pause if error is None else _AFTER_A_FAILURE
            place.least = min(LONGEST_PAUSE, (now - started) / _SHARE)
            place.seen, place.error, place.versions, place.looked = seen, error, versions, now
            self._drop_the_old(now)

    def _drop_the_old(self, now: float) -> None:
        for name, place in list(self._places.items()):
            _forget_unasked(place, now)
            if now - place.looked > 10 * LONGEST_PAUSE and not place.asked:
                del self._places[name]

    def _listed(self, namespace: str, uids: list[str]) -> ObservedPods:
        pods: list[Object] = []
        for first in range(0, len(uids), JOBS_A_LIST):
            selector = f"{_UID} in ({','.join(uids[first : first + JOBS_A_LIST])})"
            pods.extend(map(slim_pod, self._list("pods", namespace, selector, "", MOST_PODS)))
        owned = by_owner(pods)
        wanted = {*uids, *(str(pod["metadata"]["uid"]) for pod in pods)}
        found = [*self._events(namespace, "type=Warning", wanted)]
        if starting := {uid(pod) for pod in pods if _is_starting(pod)}:
            found += self._events(namespace, f"reason={PULLING},involvedObject.kind=Pod", starting)
        events = by_object(found)
        refused = {uid for uid in uids if any(_refuses(one) for one in events.get(uid, ()))}
        created: dict[str, str] = {}
        if refused:
            fields = "reason=SuccessfulCreate,involvedObject.kind=Job"
            latest = by_object(self._events(namespace, fields, refused))
            created = {uid: last_seen(some[-1]) for uid, some in latest.items()}
        return ObservedPods({uid: owned[uid] for uid in uids if uid in owned}, events, created)

    def _events(self, namespace: str, fields: str, about: set[str]) -> Iterator[Object]:
        found = self._list("events", namespace, "", fields, MOST_EVENTS)
        return (slim_event(one) for one in found if subject(one) in about)

    def _list(
        self, kind: str, namespace: str, selector: str, fields: str, most: int
    ) -> Iterator[Object]:
        self._tokens -= 1
        found = self._client.list(kind, namespace, selector, fields, most_bytes=MOST_BYTES)
        return islice(found, most)


def _forget_unasked(place: _Place, now: float) -> None:
    for job in [job for job, at in place.asked.items() if now - at > _FORGOTTEN_AFTER]:
        del place.asked[job], place.newest[job]


def _next_pause(place: _Place, seen: ObservedPods, versions: dict[str, str]) -> float:
    """Longer each time while a look finds what the last one found."""
    if seen != place.seen or versions != place.versions:
        return SHORTEST_PAUSE
    return min(LONGEST_PAUSE, max(place.pause, SHORTEST_PAUSE) * _SLOWER)


def _is_starting(pod: Object) -> bool:
    """Whether a pod may be pulling its image."""
    return phase(pod) == "Pending" and bool(node(pod))


def _refuses(event: Object) -> bool:
    return event.get("reason") == "FailedCreate"
