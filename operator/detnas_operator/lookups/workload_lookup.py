"""Kueue's Workloads, listed for all searches of a namespace together, where Kueue is installed.

They are not watched: most clusters do not serve this kind, and a watch on it would only fail.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

from detnas_operator.cluster import ClusterError, NotFound
from detnas_operator.job_state.queueing import Admission, slim_workload

Object = dict[str, Any]

PAUSE = 10.0
"""Seconds between two lists of a namespace."""
PAUSE_EACH = 0.05
"""Seconds more for each Workload of the last list: they are large."""
_SOONER = 0.2
"""Of the pause, where a Job has changed since, such as one that Kueue preempts."""
ABSENT_PAUSE = 300.0
"""Seconds until a cluster without Kueue is asked again."""
LIST_PAUSE = 0.5
"""Seconds between any two lists."""
MOST_WORKLOADS = 5000
VERSIONS = ("workloads", "workloads/v1beta1")
"""The kind in the versions that Kueue serves, the newest first."""
_SOON = 5.0
"""Within this Kueue makes the Workload of a Job that it suspends."""
_FORGOTTEN_AFTER = 600.0


class Lister(Protocol):
    """The part of the Kubernetes client that is used here."""

    def list(self, kind: str, namespace: str | None) -> Iterator[Object]:
        """Yield objects page by page."""


@dataclass(slots=True)
class _Place:
    """What is known of a namespace.

    Attributes:
        asked: when each Job was first asked for, and last, by UID.
        versions: of the Jobs, by UID, when they were last asked for.
        changed: whether one of them has changed since the last list.
        workloads: by the UID of the Job that owns them.
        whole: whether these are all.
        unread: why they could not be read; empty where they could.
        listed: when that was.
    """

    asked: dict[str, tuple[float, float]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    changed: bool = False
    workloads: Mapping[str, Object] = field(default_factory=dict)
    whole: bool = True
    unread: str = ""
    listed: float = float("-inf")

    def is_due(self, now: float) -> bool:
        """Whether it is time for another list."""
        pause = PAUSE + PAUSE_EACH * len(self.workloads)
        return now - self.listed >= pause * (_SOONER if self.changed else 1.0)

    def admission(self, uid: str) -> Admission | None:
        """What is known of a Job; none if the list was made too early for it."""
        if found := self.workloads.get(uid):
            return Admission(found)
        if self.listed - self.asked[uid][0] < _SOON:
            return None
        if self.unread or not self.whole:
            return Admission(unread=self.unread or f"there are more than {MOST_WORKLOADS}")
        return Admission()


class WorkloadLookup:
    """Lists Workloads when a pass asks and the last list is too old. Thread-safe.

    Args:
        client: lists.
        clock: seconds, monotonic.
    """

    def __init__(self, client: Lister, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._listing = threading.Lock()
        self._places: dict[str, _Place] = {}
        self._absent_since = self._last = float("-inf")

    def look(self, namespace: str, jobs: Iterable[Object]) -> dict[str, Admission]:
        """Return what is known of suspended Jobs, by UID, and perhaps list it anew.

        A Job that is asked for the first time may be missing from the answer, until the next.
        """
        asked = [one["metadata"] for one in jobs]
        versions = {str(one["uid"]): str(one.get("resourceVersion", "")) for one in asked}
        if not versions:
            return {}
        with self._lock:
            place = self._asked(namespace, versions)
        if self._listing.acquire(blocking=False):
            try:
                self._list(namespace, place)
            finally:
                self._listing.release()
        found = {uid: place.admission(uid) for uid in versions}
        return {uid: admission for uid, admission in found.items() if admission is not None}

    def _asked(self, namespace: str, versions: dict[str, str]) -> _Place:
        now, place = self._clock(), self._places.setdefault(namespace, _Place())
        for uid, version in versions.items():
            place.asked[uid] = (place.asked.get(uid, (now, now))[0], now)
            place.changed = place.changed or place.versions.get(uid) != version
        place.versions.update(versions)
        for name, other in list(self._places.items()):
            other.asked = {
                uid: (first, last)
                for uid, (first, last) in other.asked.items()
                if now - last < _FORGOTTEN_AFTER
            }
            other.versions = {uid: other.versions[uid] for uid in other.asked}
            if not other.asked:
                del self._places[name]
        return place

    def _list(self, namespace: str, place: _Place) -> None:
        now = self._clock()
        if not place.is_due(now) or now - self._last < LIST_PAUSE:
            return
        if now - self._absent_since < ABSENT_PAUSE:
            place.workloads, place.unread, place.whole, place.listed = {}, "", True, now
            return
        try:
            found, unread = self._workloads(namespace), ""
        except ClusterError as error:
            found, unread = [], str(error)
        place.workloads = {uid: one for one in found for uid in one["owners"]}
        place.unread, place.whole = unread, len(found) < MOST_WORKLOADS
        place.changed = False
        place.listed = now  # of the Jobs that are made meanwhile nothing is known
        self._last = self._clock()

    def _workloads(self, namespace: str) -> list[Object]:
        for kind in VERSIONS:
            try:
                found = islice(self._client.list(kind, namespace), MOST_WORKLOADS)
                return [slim_workload(one) for one in found]
            except NotFound:  # in this version, or at all
                continue
        self._absent_since = self._clock()
        return []
