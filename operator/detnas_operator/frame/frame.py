"""One operator process: the API client, the cache, the work queue, the watches, metrics."""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from detnas.errors import UserError
from detnas.store.errors import StoreError
from detnas_operator.cluster import KubernetesClient
from detnas_operator.cluster.cache import ClusterCache, SearchKey
from detnas_operator.cluster.streaming import Streams
from detnas_operator.configuration.settings import OperatorSettings
from detnas_operator.configuration.store_advice import for_a_cluster
from detnas_operator.frame.handlers import EventHandlers
from detnas_operator.frame.health import check_health
from detnas_operator.frame.health_server import serve_health
from detnas_operator.frame.relisting import Relisting
from detnas_operator.frame.watching import Watches
from detnas_operator.queue.work_queue import Requeue, WorkQueue
from detnas_operator.telemetry.logs import about
from detnas_operator.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

GRACE_SECONDS = 5.0
"""So long may passes under way take to end when the process is told to."""


class Reconciler(Protocol):
    """What the frame calls, on several threads at a time, but on one only for a search."""

    def reconcile(self, key: SearchKey) -> Requeue:
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
            group=lambda key: key.namespace,
        )
        # What is only found by a list comes after what has just happened: after a start, a Job that
        # ends would else wait for hundreds of searches to be looked at.
        found = partial(self.queue.enqueue, urgent=False)
        self._relisting = Relisting(
            client, cache, found, self._listed, settings.namespaces, settings.resync_seconds
        )
        events = EventHandlers(cache, self.queue.enqueue)
        self._watches = Watches(Streams(client.connection), events, self._relisting.ask)
        metrics.watch_queue(self.queue.state)

    async def run(self, stop: asyncio.Event | None = None) -> bool:
        """Run until SIGTERM, SIGINT or ``stop``; return whether every pass ended in time.

        Health is served from the beginning: an API server that is absent, or a namespace that can
        not be listed, is nothing that a restart would mend.

        Raises:
            Exception: something ended that never does; a new process must start over.
            UserError: the port of the health check can not be used.
        """
        with serve_health(self._settings.health.port, lambda: check_health(self.queue.state())):
            return await self._run(stop or asyncio.Event())

    async def _run(self, stop: asyncio.Event) -> bool:
        _on_signals(stop.set)
        # But for the last none of these ends by itself; if one does, nothing would work any more.
        tasks = {
            asyncio.create_task(self.queue.run()),
            asyncio.create_task(self._watches.run()),
            asyncio.create_task(self._relisting.run()),
            asyncio.create_task(stop.wait()),
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

    def _listed(self, place: str | None, versions: Mapping[str, str]) -> None:
        self._watches.begin(place, versions)

    def _pass(self, key: SearchKey) -> Requeue:
        with about(search=key.name, namespace=key.namespace):
            if self._cache.search(key) is None:
                self._reconciler.forget(key)
                self._metrics.forget_search(*key)
                return Requeue(gone=True)
            if not self._relisting.has_listed(key.namespace):
                return Requeue(gone=True)  # until it is, which asks for a pass over each search
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


def _on_signals(stop: Callable[[], None]) -> None:
    """Call ``stop`` on SIGTERM and SIGINT; only the main thread hears of them."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop)
