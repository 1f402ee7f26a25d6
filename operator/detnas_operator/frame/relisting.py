"""Whole lists of searches and Jobs, now and then: what a watch missed is found by the next one.

A watch that was away for long starts over from a list, and tells nothing of what was deleted
meanwhile. These lists do.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Sequence

from detnas.errors import UserError
from detnas_operator.cluster import PLURAL, ClusterError, KubernetesClient, NotFound
from detnas_operator.cluster.cache import (
    MANAGED_BY,
    MANAGER,
    ClusterCache,
    SearchKey,
    slim_job,
    slim_search,
)

log = logging.getLogger(__name__)

SETTLE_SECONDS = 1.0
RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 15.0)


class Relisting:
    """Brings the cache up to date by whole lists, and asks for passes over what changed.

    Args:
        namespaces: to list; none for all of the cluster.
        enqueue: takes the key of every search with news.
        seconds: between two lists, ± 20 %.
    """

    def __init__(
        self,
        client: KubernetesClient,
        cache: ClusterCache,
        enqueue: Callable[[SearchKey], None],
        namespaces: Sequence[str],
        seconds: float,
    ) -> None:
        self._client = client
        self._cache = cache
        self._enqueue = enqueue
        self._places: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._seconds = seconds
        self._asked = asyncio.Event()

    async def first(self) -> None:
        """List until it succeeds, saying why it does not: no decision is made before."""
        attempt = 0
        while not await self._list():
            await asyncio.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
            attempt += 1

    async def run(self) -> None:
        """List every so often, and soon after ``ask``, for ever."""
        pause = self._pause()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._asked.wait()
                await asyncio.sleep(SETTLE_SECONDS)  # let the rest of what made us ask arrive
            self._asked.clear()
            pause = self._pause() if await self._list() else RETRY_SECONDS[-1]

    def ask(self) -> None:
        """Ask for lists soon; from the event loop's thread."""
        self._asked.set()

    def refresh(self, namespace: str | None) -> set[SearchKey]:
        """List a namespace (None: all) into the cache and return the keys with news; blocks."""
        searches = self._client.snapshot(PLURAL, namespace, slim=slim_search)
        selector = f"{MANAGED_BY}={MANAGER}"
        jobs = self._client.snapshot("jobs", namespace, selector, slim=slim_job)
        return self._cache.replace_all(namespace, searches, jobs)

    async def _list(self) -> bool:
        succeeded = True
        for place in self._places:
            try:
                for key in await asyncio.to_thread(self.refresh, place):
                    self._enqueue(key)
            except ClusterError as error:
                log.warning("%s", _explained(error))
                succeeded = False
        return succeeded

    def _pause(self) -> float:
        return self._seconds * random.uniform(0.8, 1.2)


def _explained(error: ClusterError) -> UserError:
    if isinstance(error, NotFound):
        remedy = "install the CRD: helm upgrade with crds.enabled, or kubectl apply -f its file"
        return UserError("the API server does not know detnassearches.detnas.dev", remedy)
    return error
