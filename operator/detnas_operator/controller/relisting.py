"""Periodic complete lists of searches and Jobs, which show what a watch missed.

A watch that was disconnected for long starts again from a list, and does not report what was
deleted meanwhile. These lists show that.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence

from detnas.errors import UserError
from detnas_operator.cluster import PLURAL, ClusterError, KubernetesClient, NotFound, Refused
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.job_lists import NOT_SERVED, JobLists, list_jobs
from detnas_operator.cluster.searches import SearchKey
from detnas_operator.cluster.slimming import slim_search

log = logging.getLogger(__name__)

SETTLE_SECONDS = 1.0
RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 15.0)
ABSENT_PAUSE_SECONDS = 60.0
"""Seconds until an API server without JobSets is asked for them again."""
CONCURRENT_LISTS = 4
"""Of a thousand namespaces, those that hang must not delay the others."""


class Relisting:
    """Brings the cache up to date by complete lists, and enqueues the searches that changed.

    Every namespace is listed separately: one that is gone, or that we have no rights in, is retried
    indefinitely and delays no other. A scope is a namespace, or None for the cluster.

    Args:
        client: lists the objects.
        cache: takes what was listed.
        enqueue: takes the key of every search that changed.
        on_list: called after every list of a scope, with the resource versions by kind.
        namespaces: to list; empty for the whole cluster.
        seconds: between two lists, ± 20 %.
    """

    def __init__(
        self,
        client: KubernetesClient,
        cache: ClusterCache,
        enqueue: Callable[[SearchKey], None],
        on_list: Callable[[str | None, Mapping[str, str]], None],
        namespaces: Sequence[str],
        seconds: float,
    ) -> None:
        self._client = client
        self._cache = cache
        self._enqueue = enqueue
        self._on_list = on_list
        scopes: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._requested = {scope: asyncio.Event() for scope in scopes}
        self._seconds = seconds
        self._ask_for_jobsets = float("-inf")
        self._listed: set[str | None] = set()
        self._list_slots = asyncio.Semaphore(CONCURRENT_LISTS)

    async def run(self) -> None:
        """List each namespace periodically, and soon after ``request``, without end."""
        async with asyncio.TaskGroup() as scopes:
            for scope in self._requested:
                scopes.create_task(self._keep(scope))

    def request(self, scope: str | None) -> None:
        """Request a list of a scope soon; from the event loop's thread."""
        self._requested[scope].set()

    def has_listed(self, namespace: str) -> bool:
        """Whether the searches and Jobs of a namespace were listed; from any thread.

        Before that the cache is incomplete, and nothing can be decided from it.
        """
        return not self._listed.isdisjoint((namespace, None))

    def refresh(self, scope: str | None) -> tuple[set[SearchKey], dict[str, str]]:
        """List a scope into the cache; return the keys that changed, and versions by kind."""
        searches = self._client.snapshot(PLURAL, scope, slim=slim_search)
        jobs = self._list_jobs(scope)
        versions = {PLURAL: searches.resource_version, **jobs.versions}
        return self._cache.replace_all(scope, searches, jobs.together), versions

    def _list_jobs(self, scope: str | None) -> JobLists:
        """List Jobs, and JobSets if they can be; note in the cache why not."""
        known, problem = self._cache.jobsets_problem(scope), NOT_SERVED
        # A CRD may come at any time, but thousands of scopes need not ask for it each.
        if time.monotonic() >= self._ask_for_jobsets:
            try:
                lists = list_jobs(self._client, scope, jobsets=True)
            except NotFound:
                self._ask_for_jobsets = time.monotonic() + ABSENT_PAUSE_SECONDS
            except Refused as error:
                if not known:  # without a list, one that runs would seem to be gone
                    raise
                problem = str(error)
                if problem != known:
                    log.warning("JobSets of %s are not used: %s", _name(scope), error)
            else:
                self._cache.note_jobsets(scope, "")
                return lists
        self._cache.note_jobsets(scope, problem)
        return list_jobs(self._client, scope, jobsets=False)

    async def _keep(self, scope: str | None) -> None:
        """List a scope again and again, and log once why that fails, until it succeeds."""
        failures, logged = 0, None
        while True:
            try:
                await self._list(scope)
            except ClusterError as error:
                if logged is not type(error):
                    self._log_failure(scope, error)
                failures, logged = failures + 1, type(error)
                await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS)) - 1])
            else:
                if failures:
                    log.info("searches and Jobs of %s are listed again", _name(scope))
                failures, logged = 0, None
                await self._until_requested(scope)

    async def _list(self, scope: str | None) -> None:
        async with self._list_slots:
            changed, versions = await asyncio.to_thread(self.refresh, scope)
        if scope not in self._listed:
            self._listed.add(scope)
            # Searches that a watch reported earlier were not reconciled: they count as changed.
            changed |= {key for key in self._cache.search_keys() if scope in (None, key.namespace)}
        for key in changed:
            self._enqueue(key)
        self._on_list(scope, versions)

    async def _until_requested(self, scope: str | None) -> None:
        requested = self._requested[scope]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._seconds * random.uniform(0.8, 1.2)):
                await requested.wait()
            await asyncio.sleep(SETTLE_SECONDS)  # let related changes arrive first
        requested.clear()

    def _log_failure(self, scope: str | None, error: ClusterError) -> None:
        if scope in self._listed:
            log.warning("%s", _with_remedy(error))
            return
        log.warning(
            "searches of %s wait until it can be listed: %s", _name(scope), _with_remedy(error)
        )


def _name(scope: str | None) -> str:
    return "the cluster" if scope is None else f"namespace {scope}"


def _with_remedy(error: ClusterError) -> UserError:
    if isinstance(error, NotFound):
        remedy = "install the CRD: helm upgrade with crds.enabled, or kubectl apply -f its file"
        return UserError("the API server does not know detnassearches.detnas.dev", remedy)
    return error
