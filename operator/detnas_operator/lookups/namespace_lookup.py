"""Lists that are made for all searches of a namespace together, at a limited rate.

What they list is not watched: a namespace has any number of such objects that belong to others. A
lookup is made when a pass requires it and the last one is too old; other passes take the last one
as it is, and none waits for another's.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

from detnas_operator.cluster.objects import Object, ObjectView

_FORGOTTEN_AFTER = 600.0
"""Seconds since its last lookup, for a namespace of which nothing is requested any more."""


@dataclass(slots=True)
class Place:
    """What is known of a namespace.

    Attributes:
        requested: when each Job was first requested, and last, by UID.
        versions: of these Jobs, as last requested.
        listed_versions: the same at the last lookup.
        changed: whether one of them has changed since then.
        listed: when the last lookup began.
    """

    requested: dict[str, tuple[float, float]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    listed_versions: dict[str, int] = field(default_factory=dict)
    changed: bool = False
    listed: float = float("-inf")


AnyPlace = TypeVar("AnyPlace", bound=Place)


class NamespaceLookup(ABC, Generic[AnyPlace]):
    """Looks up one namespace at a time. Thread-safe.

    Args:
        clock: monotonic clock, in seconds.
    """

    place: ClassVar[type[Place]]
    rate: ClassVar[float]
    """Requests a second, over all namespaces."""
    burst: ClassVar[float]
    remembered: ClassVar[float]
    """Seconds for which a Job is looked up after a pass last requested it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._listing = threading.Lock()
        self._places: dict[str, AnyPlace] = {}
        self._tokens, self._counted = self.burst, clock()

    def namespaces(self) -> list[str]:
        """Return the namespaces of which something is retained."""
        with self._lock:
            return sorted(self._places)

    @abstractmethod
    def _pause(self, place: AnyPlace) -> float:
        """Return the seconds between the last lookup of a namespace and the next."""

    @abstractmethod
    def _list(self, namespace: str, place: AnyPlace, *, changed: bool) -> None:
        """Look up a namespace; `changed`: not for the same Jobs as last time."""

    def _observe(self, namespace: str, jobs: Iterable[Object]) -> AnyPlace:
        """Return what is known of a namespace after a lookup, if one is due."""
        with self._lock:
            place = self._places.setdefault(namespace, self.place())  # type: ignore[arg-type]
            self._request(place, jobs)
        if self._listing.acquire(blocking=False):
            try:
                if self._is_due(place):
                    self._renew(namespace, place)
            finally:
                self._listing.release()
        return place

    def _request(self, place: AnyPlace, jobs: Iterable[Object]) -> None:
        now = self._clock()
        for job in map(ObjectView, jobs):
            first, _ = place.requested.get(job.uid, (now, now))
            place.requested[job.uid] = first, now
            place.versions[job.uid] = job.version
            place.changed = place.changed or place.listed_versions.get(job.uid) != job.version

    def _is_due(self, place: AnyPlace) -> bool:
        now = self._clock()
        self._tokens = min(self.burst, self._tokens + self.rate * (now - self._counted))
        self._counted = now
        return self._tokens >= 1 and now - place.listed >= self._pause(place)

    def _renew(self, namespace: str, place: AnyPlace) -> None:
        now = self._clock()
        with self._lock:
            self._forget(now)
            changed, place.changed = place.versions != place.listed_versions, False
            place.listed_versions = dict(place.versions)
        self._list(namespace, place, changed=changed)
        place.listed = now  # of Jobs that are created meanwhile nothing is known

    def _forget(self, now: float) -> None:
        for name, place in list(self._places.items()):
            requested = list(place.requested.items())
            for uid in [uid for uid, (_, last) in requested if now - last > self.remembered]:
                del place.requested[uid], place.versions[uid]
            if now - place.listed > _FORGOTTEN_AFTER and not place.requested:
                del self._places[name]
