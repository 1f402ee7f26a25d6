"""One operator process: the API client, the cache, the work queue, kopf's watches, metrics."""

import asyncio
import logging
from typing import Protocol

from detnas.errors import UserError
from detnas.store.errors import StoreError
from detnas_operator.cluster import KubernetesClient
from detnas_operator.cluster.cache import ClusterCache, SearchKey
from detnas_operator.cluster.connection import Connection
from detnas_operator.configuration.settings import OperatorSettings
from detnas_operator.configuration.store_advice import for_a_cluster
from detnas_operator.frame.handlers import EventHandlers
from detnas_operator.frame.health import check_health
from detnas_operator.frame.relisting import Relisting
from detnas_operator.frame.watching import watch
from detnas_operator.queue.work_queue import Again, WorkQueue
from detnas_operator.telemetry.logs import about
from detnas_operator.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

GRACE_SECONDS = 5.0
"""So long may passes under way take to end when the process is told to."""


class Reconciler(Protocol):
    """What the frame calls, on several threads at a time, but on one only for a search."""

    def reconcile(self, key: SearchKey) -> Again:
        """Make one pass over a search that the cache holds."""

    def forget(self, key: SearchKey) -> None:
        """Drop what is kept of a search that is gone."""


class Frame:
    """Watches, and runs passes of a reconciler over what changed."""

    def __init__(
        self,
        settings: OperatorSettings,
        client: KubernetesClient,
        cache: ClusterCache,
        metrics: Metrics,
        reconciler: Reconciler,
    ) -> None:
        self._settings = settings
        self._client = client
        self._cache = cache
        self._metrics = metrics
        self._reconciler = reconciler
        self.queue: WorkQueue[SearchKey] = WorkQueue(
            self._pass,
            workers=settings.workers,
            resync=settings.resync_seconds,
            on_pass=self._passed,
        )
        metrics.watch_queue(self.queue.state)

    async def run(self, stop: asyncio.Event | None = None) -> bool:
        """Run until SIGTERM, SIGINT or ``stop``; return whether every pass ended in time.

        Raises:
            Exception: kopf's watches ended with it; a new process must start over.
        """
        relisting = Relisting(
            self._client,
            self._cache,
            self.queue.enqueue,
            self._settings.namespaces,
            self._settings.resync_seconds,
        )
        await relisting.first()
        log.info("watching %d searches", len(self._cache.searches()))
        # None of these ends by itself; if one does, nothing would work any more.
        tasks = {
            asyncio.create_task(self.queue.run()),
            asyncio.create_task(relisting.run()),
            asyncio.create_task((stop or asyncio.Event()).wait()),
            asyncio.create_task(self._watch(relisting)),
        }
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended = await self.queue.stop(GRACE_SECONDS)
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result
        return ended

    async def _watch(self, relisting: Relisting) -> None:
        """Watch until SIGTERM or SIGINT."""
        events = EventHandlers(self._cache, self.queue.enqueue, relisting.ask)
        connection: Connection = self._client.connection
        await watch(self._settings, events, connection, lambda: check_health(self.queue.state()))

    def _pass(self, key: SearchKey) -> Again:
        with about(search=key.name, namespace=key.namespace):
            if self._cache.search(key) is None:
                self._reconciler.forget(key)
                self._metrics.forget_search(*key)
                return Again(gone=True)
            return self._reconciler.reconcile(key)

    def _passed(self, key: SearchKey, seconds: float, error: Exception | None) -> None:
        self._metrics.passed(type(error).__name__ if error else "ok", seconds)
        if error is None:
            return
        if isinstance(error, StoreError):
            self._metrics.store_failed(error)
            error = for_a_cluster(error)
        with about(search=key.name, namespace=key.namespace):
            if isinstance(error, UserError):
                log.warning("the pass failed, and is tried again: %s", error)
            else:
                log.error("the pass failed, and is tried again", exc_info=error)
