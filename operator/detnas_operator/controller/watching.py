"""The watches: one stream per namespace and kind, started after a list, restarted if it ends."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from detnas_operator.cluster import PLURAL, ClusterError
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.errors import Expired, NotFound, Refused
from detnas_operator.cluster.news import News
from detnas_operator.cluster.objects import JobView
from detnas_operator.cluster.searches import SearchKey, SearchView
from detnas_operator.cluster.slimming import slim_own_job, slim_search
from detnas_operator.cluster.streaming import Change, Streams

log = logging.getLogger(__name__)

SLIM = {PLURAL: slim_search, "jobs": slim_own_job, "jobsets": slim_own_job}
SHORT_SECONDS = 5.0
"""A stream that the server ended sooner is not restarted at once."""


class Enqueue(Protocol):
    """Requests a pass over a search."""

    def __call__(self, key: SearchKey, *, urgent: bool) -> None:
        """Request it; before others if it is urgent."""


class EventHandlers:
    """Writes watched changes to the cache, and enqueues the searches concerned.

    Args:
        cache: takes the changes.
        enqueue: takes the key of a search to which something happened; urgent if the search may
            have something to do.
    """

    def __init__(self, cache: ClusterCache, enqueue: Enqueue) -> None:
        self._cache = cache
        self._enqueue = enqueue

    def search(self, change: str, body: dict[str, Any]) -> None:
        """Handle a search that was ADDED, MODIFIED or DELETED."""
        key = SearchView(body).key
        if change == "DELETED":
            self._cache.drop_search(body)
            self._enqueue(key, urgent=True)
        else:
            self._enqueue_for(key, self._cache.put_search(body))

    def job(self, change: str, body: dict[str, Any]) -> None:
        """Handle a Job, a JobSet, or the Job of one that was ADDED, MODIFIED or DELETED."""
        key = self._cache.search_of(JobView(body))
        if change == "DELETED":
            self._cache.drop_deleted_job(body)
            news = News.DECISIVE
        else:
            news = self._cache.put_job(body)
        if key is not None:
            self._enqueue_for(key, news)

    def _enqueue_for(self, key: SearchKey, news: News) -> None:
        if news:
            self._enqueue(key, urgent=news is News.DECISIVE)


class Watches:
    """Streams of the kinds in each scope (a namespace, or None for the cluster).

    Args:
        streams: opens them.
        events: takes the changes.
        relist: requests a list of a scope, after which `begin` is called.
    """

    def __init__(
        self,
        streams: Streams,
        events: EventHandlers,
        relist: Callable[[str | None], None],
    ) -> None:
        self._streams = streams
        self._events = events
        self._relist = relist
        self._group: asyncio.TaskGroup | None = None
        self._open: dict[tuple[str | None, str], asyncio.Task[None]] = {}
        self._pauses: dict[tuple[str | None, str], Iterator[float]] = {}
        self._unreachable = False

    async def run(self) -> None:
        """Keep the streams open until this task is cancelled."""
        async with self._streams, asyncio.TaskGroup() as self._group:
            await asyncio.Event().wait()

    def begin(self, scope: str | None, versions: Mapping[str, str]) -> None:
        """Watch a scope that was listed, from the lists' versions by kind, unless it is watched."""
        assert self._group is not None
        for kind, version in versions.items():
            task = self._open.get((scope, kind))
            if task is None or task.done():
                watching = self._watch(scope, kind, version)
                self._open[scope, kind] = self._group.create_task(watching)

    async def _watch(self, scope: str | None, kind: str, since: str) -> None:
        """Stream until a new list is needed."""
        while True:
            begun = time.monotonic()
            try:
                async for change in self._streams.changes(kind, scope, since, SLIM[kind]):
                    since = self._handle(scope, kind, change) or since
            except Expired:
                self._relist(scope)
                return
            except (NotFound, Refused):
                # The list reports why, and is retried until it succeeds.
                await asyncio.sleep(self._pause(scope, kind))
                self._relist(scope)
                return
            except ClusterError as error:
                self._log_unreachable(error)
                await asyncio.sleep(max(self._pause(scope, kind), error.retry_after or 0.0))
            else:
                if time.monotonic() - begun < SHORT_SECONDS:
                    await asyncio.sleep(self._pause(scope, kind))

    def _handle(self, scope: str | None, kind: str, change: Change) -> str:
        self._pauses.pop((scope, kind), None)
        if self._unreachable:
            self._unreachable = False
            log.info("the API server is reachable again; the watches continue")
        if change.kind != "BOOKMARK":
            handle = self._events.search if kind == PLURAL else self._events.job
            handle(change.kind, change.object)
        return change.version

    def _pause(self, scope: str | None, kind: str) -> float:
        return next(self._pauses.setdefault((scope, kind), _growing_pauses()))

    def _log_unreachable(self, error: ClusterError) -> None:
        """Log once, not for each of thousands of streams, that the API server is unreachable."""
        if not self._unreachable:
            log.warning("a watch ended and is restarted: %s", error)
        self._unreachable = True


def _growing_pauses() -> Iterator[float]:
    """Yield the seconds between attempts, endlessly: the process never exits for an outage."""
    for seconds in (1.0, 1.0, 2.0, 3.0, 5.0, 8.0):
        yield seconds * random.uniform(0.8, 1.2)
    while True:
        yield 10.0 * random.uniform(0.8, 1.2)
