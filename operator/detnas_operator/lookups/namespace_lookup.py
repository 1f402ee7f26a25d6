"""Lists that all searches of a namespace share, at a limited rate.

These objects are not watched: a namespace may have any number of them that belong to others. A
lookup is made if a pass requires it and the last one is too old; other passes use the last result,
and none waits for another's lookup.
"""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Protocol, TypeVar

from detnas_operator.cluster.objects import JobView, Object

_FORGET_SECONDS = 600.0
"""Seconds since its last lookup, for a namespace of which nothing is requested any more."""


class Lister(Protocol):
    """The part of the Kubernetes client that is used here."""

    def list(
        self,
        kind: str,
        namespace: str | None,
        selector: str = "",
        fields: str = "",
        *,
        max_bytes: int | None = None,
    ) -> Iterator[Object]:
        """Yield objects page by page."""


class RateLimit:
    """Limits requests: a token bucket, which a lookup of several requests may overdraw.

    Args:
        rate: requests a second.
        burst: requests at once after a pause.
        clock: monotonic clock, in seconds.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._tokens, self._counted = burst, clock()

    def allows_one(self) -> bool:
        """Whether another request may be made now."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + self._rate * (now - self._counted))
        self._counted = now
        return self._tokens >= 1

    def take(self) -> None:
        """Count a request."""
        self._tokens -= 1


@dataclass(slots=True)
class NamespaceState:
    """What is known of a namespace.

    Attributes:
        requested: when each Job was first requested, and last, by UID.
        versions: of these Jobs, as last requested.
        listed_versions: the same at the last lookup.
        changed: whether one of them has changed since then.
        has_other_jobs: whether Jobs came, went or changed between the last two lookups.
        listed: when the last lookup began.
    """

    requested: dict[str, tuple[float, float]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    listed_versions: dict[str, int] = field(default_factory=dict)
    changed: bool = False
    has_other_jobs: bool = False
    listed: float = float("-inf")


AnyState = TypeVar("AnyState", bound=NamespaceState)


class NamespaceLookup(ABC, Generic[AnyState]):
    """Looks up one namespace at a time. Thread-safe.

    Args:
        client: lists the objects.
        clock: monotonic clock, in seconds.
    """

    rate: ClassVar[float]
    """Requests a second, over all namespaces."""
    burst: ClassVar[float]
    remembered: ClassVar[float]
    """Seconds for which a Job is looked up after a pass last requested it."""

    def __init__(self, client: Lister, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._listing = threading.Lock()
        self._states: dict[str, AnyState] = {}
        self._limit = RateLimit(self.rate, self.burst, clock)

    def namespaces(self) -> list[str]:
        """Return the namespaces of which something is retained."""
        with self._lock:
            return sorted(self._states)

    @abstractmethod
    def _new_state(self) -> AnyState:
        """Return what is known of a namespace before its first lookup."""

    @abstractmethod
    def _pause(self, state: AnyState) -> float:
        """Return the seconds between the last lookup of a namespace and the next."""

    @abstractmethod
    def _list(self, namespace: str, state: AnyState) -> None:
        """Look up a namespace."""

    @staticmethod
    def _uid(job: JobView) -> str:
        """Return the UID by which objects are related to a Job."""
        return job.uid

    def _observe(self, namespace: str, jobs: Iterable[JobView]) -> AnyState:
        """Return what is known of a namespace after a lookup, if one is due."""
        with self._lock:
            state = self._states.setdefault(namespace, self._new_state())
            self._request(state, jobs)
        if self._listing.acquire(blocking=False):
            try:
                if self._is_due(state):
                    self._renew(namespace, state)
            finally:
                self._listing.release()
        return state

    def _request(self, state: AnyState, jobs: Iterable[JobView]) -> None:
        now = self._clock()
        for job in jobs:
            uid = self._uid(job)
            first, _ = state.requested.get(uid, (now, now))
            state.requested[uid] = first, now
            state.versions[uid] = job.version
            state.changed = state.changed or state.listed_versions.get(uid) != job.version

    def _is_due(self, state: AnyState) -> bool:
        is_old = self._clock() - state.listed >= self._pause(state)
        return is_old and self._limit.allows_one()

    def _renew(self, namespace: str, state: AnyState) -> None:
        now = self._clock()
        with self._lock:
            self._forget(now)
            state.has_other_jobs = state.versions != state.listed_versions
            state.changed = False
            state.listed_versions = dict(state.versions)
        self._list(namespace, state)
        state.listed = now  # when it began: Jobs created since then may be missing

    def _forget(self, now: float) -> None:
        for name, state in list(self._states.items()):
            requested = list(state.requested.items())
            for uid in [uid for uid, (_, last) in requested if now - last > self.remembered]:
                del state.requested[uid], state.versions[uid]
            if now - state.listed > _FORGET_SECONDS and not state.requested:
                del self._states[name]
