"""Whole lists of searches and Jobs, now and then: what a watch missed is found by the next one.

A watch that was away for long starts over from a list, and tells nothing of what was deleted
meanwhile. These lists do.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping, Sequence

from detnas.errors import UserError
from detnas_operator.cluster import PLURAL, ClusterError, KubernetesClient, NotFound
from detnas_operator.cluster.cache import (
    ClusterCache,
    SearchKey,
    slim_own_job,
    slim_search,
)

log = logging.getLogger(__name__)

SETTLE_SECONDS = 1.0
RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 15.0)
AT_A_TIME = 4
"""Lists under way: of a thousand namespaces, those that hang must not keep up the others."""


class Relisting:
    """Brings the cache up to date by whole lists, and asks for passes over what changed.

    Every namespace is listed on its own: one that is gone, or that we have no rights in, is tried
    again and again, and keeps nobody else waiting.

    Args:
        namespaces: to list; none for all of the cluster.
        enqueue: takes the key of every search with news.
        listed: told of every list of a place, with the versions by kind.
        seconds: between two lists, ± 20 %.
    """

    def __init__(
        self,
        client: KubernetesClient,
        cache: ClusterCache,
        enqueue: Callable[[SearchKey], None],
        listed: Callable[[str | None, Mapping[str, str]], None],
        namespaces: Sequence[str],
        seconds: float,
    ) -> None:
        self._client = client
        self._cache = cache
        self._enqueue = enqueue
        self._tell = listed
        places: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._asked = {place: asyncio.Event() for place in places}
        self._seconds = seconds
        self._listed: set[str | None] = set()
        self._turns = asyncio.Semaphore(AT_A_TIME)

    async def run(self) -> None:
        """List each namespace every so often, and soon after ``ask``, for ever."""
        async with asyncio.TaskGroup() as places:
            for place in self._asked:
                places.create_task(self._keep(place))

    def ask(self, place: str | None) -> None:
        """Ask for a list of a place soon; from the event loop's thread."""
        self._asked[place].set()

    def has_listed(self, namespace: str) -> bool:
        """Whether the searches and Jobs of a namespace were listed; from any thread.

        Before, the cache holds some of them at most: nothing can be decided from that.
        """
        return not self._listed.isdisjoint((namespace, None))

    def refresh(self, place: str | None) -> tuple[set[SearchKey], dict[str, str]]:
        """List a namespace (None: all) into the cache; return keys with news, and versions."""
        searches = self._client.snapshot(PLURAL, place, slim=slim_search)
        # All of them: labels by which ours could be selected are others' to rewrite.
        jobs = self._client.snapshot("jobs", place, slim=slim_own_job)
        versions = {PLURAL: searches.resource_version, "jobs": jobs.resource_version}
        return self._cache.replace_all(place, searches, jobs), versions

    async def _keep(self, place: str | None) -> None:
        """List a place for ever, and say once why that fails, until it succeeds."""
        failures, said = 0, None
        while True:
            try:
                await self._list(place)
            except ClusterError as error:
                if said is not type(error):
                    self._complain(place, error)
                failures, said = failures + 1, type(error)
                await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS)) - 1])
            else:
                if failures:
                    log.info("searches and Jobs of %s are listed again", _name(place))
                failures, said = 0, None
                await self._until_asked(place)

    async def _list(self, place: str | None) -> None:
        async with self._turns:
            news, versions = await asyncio.to_thread(self.refresh, place)
        if place not in self._listed:
            self._listed.add(place)
            # Of those that a watch told of before, no pass has been made: they are news as well.
            news |= {key for key in self._cache.searches() if place in (None, key.namespace)}
        for key in news:
            self._enqueue(key)
        self._tell(place, versions)

    async def _until_asked(self, place: str | None) -> None:
        asked = self._asked[place]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._seconds * random.uniform(0.8, 1.2)):
                await asked.wait()
            await asyncio.sleep(SETTLE_SECONDS)  # let the rest of what made us ask arrive
        asked.clear()

    def _complain(self, place: str | None, error: ClusterError) -> None:
        if place in self._listed:
            log.warning("%s", _explained(error))
            return
        log.warning(
            "searches of %s wait until it can be listed: %s", _name(place), _explained(error)
        )


def _name(place: str | None) -> str:
    return "the cluster" if place is None else f"namespace {place}"


def _explained(error: ClusterError) -> UserError:
    if isinstance(error, NotFound):
        remedy = "install the CRD: helm upgrade with crds.enabled, or kubectl apply -f its file"
        return UserError("the API server does not know detnassearches.detnas.dev", remedy)
    return error
