"""One operator process: watches and lists fill the cache, and the work queue runs passes."""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Mapping
from functools import partial

from detnas.errors import UserError
from detnas.store.errors import StoreError
from detnas_operator.cluster import KubernetesClient
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.searches import SearchKey
from detnas_operator.cluster.streaming import Streams
from detnas_operator.configuration.settings import OperatorSettings
from detnas_operator.configuration.store_advice import for_a_cluster
from detnas_operator.controller.health import check_health, serve_health
from detnas_operator.controller.relisting import Relisting
from detnas_operator.controller.watching import EventHandlers, Watches
from detnas_operator.queue.schedule import Requeue
from detnas_operator.queue.work_queue import WorkQueue
from detnas_operator.telemetry.logs import about
from detnas_operator.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

GRACE_SECONDS = 5.0
"""For running passes to end when the process stops."""


class Controller:
    """Watches searches and Jobs, and has passes made over those that changed.

    Args:
        settings: the administrator's.
        client: of the API server.
        cache: filled by the watches and lists.
        metrics: what Prometheus scrapes.
        reconcile: makes a pass over a search, which is gone if the cache does not hold it. Called
            by several threads concurrently, but by only one at a time for each search.
    """

    def __init__(
        self,
        settings: OperatorSettings,
        client: KubernetesClient,
        cache: ClusterCache,
        metrics: Metrics,
        reconcile: Callable[[SearchKey], Requeue],
    ) -> None:
        self._settings = settings
        self._client = client
        self._cache = cache
        self._metrics = metrics
        self._reconcile = reconcile
        self.queue: WorkQueue[SearchKey] = WorkQueue(
            self._reconcile_listed,
            workers=settings.workers,
            resync=settings.resync_seconds,
            on_pass=self._record,
            group=lambda key: key.namespace,
        )
        # Changes that only a list shows rank below events: after a start, a Job that ends would
        # otherwise wait for hundreds of searches to be reconciled.
        listed = partial(self.queue.enqueue, urgent=False)
        self._relisting = Relisting(
            client, cache, listed, self._watch_from, settings.namespaces, settings.resync_seconds
        )
        events = EventHandlers(cache, self.queue.enqueue)
        self._watches = Watches(Streams(client.connection), events, self._relisting.request)
        metrics.watch_queue(self.queue.state)

    async def run(self, stop: asyncio.Event | None = None) -> bool:
        """Run until SIGTERM, SIGINT or ``stop``; return whether every pass ended in time.

        Health is served from the beginning: a restart would not help against an API server that is
        absent, or a namespace that cannot be listed.

        Raises:
            Exception: a task failed that should never end; the process must be restarted.
            UserError: the port of the health check cannot be used.
        """
        with serve_health(self._settings.health.port, lambda: check_health(self.queue.state())):
            return await self._run(stop or asyncio.Event())

    async def _run(self, stop: asyncio.Event) -> bool:
        _on_signals(stop.set)
        # Only the last may end; if another one does, the process cannot continue.
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

    def _watch_from(self, scope: str | None, versions: Mapping[str, str]) -> None:
        self._watches.begin(scope, versions)

    def _reconcile_listed(self, key: SearchKey) -> Requeue:
        with about(search=key.name, namespace=key.namespace):
            exists = self._cache.search(key) is not None
            if exists and not self._relisting.has_listed(key.namespace):
                return Requeue(gone=True)  # the list enqueues each search
            return self._reconcile(key)

    def _record(self, key: SearchKey, seconds: float, error: Exception | None) -> None:
        self._metrics.count_pass(type(error).__name__ if error else "ok", seconds)
        if error is None:
            return
        if isinstance(error, StoreError):
            self._metrics.count_store_error(error)
            error = for_a_cluster(error)
        with about(search=key.name, namespace=key.namespace):
            if isinstance(error, UserError):
                log.warning("the pass failed and will be retried: %s", error)
            else:
                log.error("the pass failed and will be retried", exc_info=error)


def _on_signals(stop: Callable[[], None]) -> None:
    """Call ``stop`` on SIGTERM and SIGINT; only the main thread receives them."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop)
