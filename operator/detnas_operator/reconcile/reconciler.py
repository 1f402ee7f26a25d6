"""Reconciles one search, whatever state it is in: the work queue's only task."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from detnas.lifecycle.blocked import BlockedError
from detnas.lifecycle.pools.lease import PoolLease
from detnas.reasons import Reason
from detnas.store.errors import StoreError, StoreUnavailable
from detnas_operator.admission.admission import Admitted, admit
from detnas_operator.admission.search_limit import SearchLimit
from detnas_operator.cluster import ClusterError, KubernetesClient
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.labels import ACCEPT
from detnas_operator.cluster.objects import SearchKey, SearchView
from detnas_operator.configuration.settings import OperatorSettings
from detnas_operator.lookups.pod_lookup import PodLookup
from detnas_operator.lookups.progress_reader import ProgressReader
from detnas_operator.lookups.workload_lookup import WorkloadLookup
from detnas_operator.queue.schedule import Requeue
from detnas_operator.reconcile.active_jobs import Lookups
from detnas_operator.reconcile.deletion import DataDeletion, wants_data_deleted
from detnas_operator.reconcile.memory import SearchMemories, seconds_since
from detnas_operator.reconcile.pass_errors import PATIENCE, ApiErrors, error_reason, store_reason
from detnas_operator.reconcile.publishing import Publisher
from detnas_operator.reconcile.requeue import CompletedSearches, requeue
from detnas_operator.reconcile.search_jobs import SearchJobs, trains_pool
from detnas_operator.reconcile.search_pass import SearchPass
from detnas_operator.reconcile.stopping import SuspendedPods, stop_jobs
from detnas_operator.status.blocked import suspended_since, was_suspended_by_user
from detnas_operator.status.pass_result import PassResult
from detnas_operator.telemetry.logs import about
from detnas_operator.telemetry.metrics import Metrics
from detnas_operator.tenant_store.stores import Stores
from detnas_operator.tenant_store.time_limit import MAX_PASS_SECONDS, at_most

log = logging.getLogger(__name__)

DELETING_SECONDS = 2.0


class Reconciler:
    """Reconciles searches, one pass at a time.

    Args:
        settings: the administrator's.
        client: of the API server.
        cache: of the cluster's searches and Jobs.
        metrics: what Prometheus scrapes.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        settings: OperatorSettings,
        client: KubernetesClient,
        cache: ClusterCache,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._client = client
        self._cache = cache
        self._metrics = metrics
        self._clock = clock
        self._publisher = Publisher(client, cache, metrics, settings.progress_seconds)
        self._failures: dict[SearchKey, int] = {}
        self._with_api_errors: dict[SearchKey, int] = {}
        self._completed = CompletedSearches()
        self._suspended_pods = SuspendedPods()
        self.progress = ProgressReader(settings.progress_seconds, clock=clock)
        self._lookups = Lookups(
            PodLookup(client, clock), WorkloadLookup(client, clock), self.progress
        )
        self._search_limit = SearchLimit(cache)
        self._stores = Stores(shared_pools=settings.storage.shared_pools, workers=settings.workers)
        self._memories = SearchMemories(settings, cache, self._stores, clock)

    def reconcile(self, key: SearchKey) -> Requeue:
        """Reconcile a search once.

        Raises:
            ClusterError: the API server cannot be used; the work queue retries.
        """
        resource = self._cache.search(key)
        if resource is None:
            self.forget(key)
            return Requeue(gone=True)
        with about(search=key.name, namespace=key.namespace), at_most(MAX_PASS_SECONDS):
            if resource.is_being_deleted:
                return self._delete(key, resource)
            return self._pass(key, resource)

    def leases(self) -> list[PoolLease]:
        """Return the pool leases of all searches; from any thread."""
        return self._memories.leases()

    def forget(self, key: SearchKey) -> None:
        """Drop what is kept in memory of a search that is gone."""
        memory = self._memories.pop(key, None)
        self._failures.pop(key, None)
        self._with_api_errors.pop(key, None)
        self._completed.forget(key)
        self._suspended_pods.forget(key)
        self.progress.forget(key)
        if memory is not None:
            memory.session.release_pool()
        self._metrics.forget_search(key.namespace, key.name)

    def _pass(self, key: SearchKey, resource: SearchView) -> Requeue:
        jobs, api_errors = self._jobs(key, resource), ApiErrors()
        if self._completed.holds(key, resource, jobs):
            return Requeue()
        admitted = self._admitted(key, resource)
        if isinstance(admitted, Reason):
            generation = resource.generation
            result = PassResult(generation, not_accepted=admitted)
            self._halt(key, jobs, "the search is not accepted", api_errors)
        else:
            result, suspended = (
                self._result_without_store(key, resource),
                admitted.manifest.spec.suspend,
            )
            with api_errors:
                wanted = wants_data_deleted(admitted.manifest.spec)
                resource = DataDeletion(self._client, jobs).set_finalizer(resource, wanted)
                self._cache.put_search(resource.body)
                result = self._accepted_pass(key, resource, admitted, jobs, api_errors)
            if suspended and result.search is None:  # the pass was cut short
                self._halt(key, jobs, "the search is suspended", api_errors)
                result = replace(result, suspended=True)
            result = self._with_stopping(resource, jobs, result, api_errors)
        return self._publish_or_retry(key, resource, result, api_errors)

    def _with_stopping(
        self, resource: SearchView, jobs: SearchJobs, result: PassResult, api_errors: ApiErrors
    ) -> PassResult:
        """Add whether a suspended search still has pods, and which do not stop."""
        if not result.suspended:
            self._suspended_pods.forget(jobs.key)
            return result
        now = datetime.now(UTC)
        since = suspended_since(resource.status) or now
        with api_errors:
            stopping, reason = self._suspended_pods.observe(jobs, since, now)
            problems = (*result.problems, *([reason] if reason else []))
            return replace(result, stopping=stopping, problems=problems)
        return result

    def _halt(self, key: SearchKey, jobs: SearchJobs, why: str, api_errors: ApiErrors) -> None:
        """Stop the Jobs of a search that must not run and over which there was no complete pass."""
        memory = self._memories.get(key)
        stop_jobs(jobs, memory.gpu_time if memory else None, why, api_errors)
        if memory is not None:
            memory.session.release_pool()

    def _publish_or_retry(
        self, key: SearchKey, resource: SearchView, result: PassResult, api_errors: ApiErrors
    ) -> Requeue:
        """Publish the result; after API errors the pass is first repeated a few times."""
        if not api_errors.errors:
            self._with_api_errors.pop(key, None)
            return self._publish(key, resource, result)
        self._with_api_errors[key] = self._with_api_errors.get(key, 0) + 1
        if self._with_api_errors[key] < PATIENCE:
            raise api_errors.latest_retry
        for reason in api_errors.reasons():
            log.warning("%s", reason.message)
        result = replace(result, problems=(*result.problems, *api_errors.reasons()))
        again = self._publish(key, resource, result)
        after = max(again.after or 0.0, api_errors.latest_retry.retry_after or 0.0)
        return replace(again, after=after)

    def _accepted_pass(
        self,
        key: SearchKey,
        resource: SearchView,
        admitted: Admitted,
        jobs: SearchJobs,
        api_errors: ApiErrors,
    ) -> PassResult:
        """Make a pass over an accepted search; an error that ends it becomes a reason."""
        try:
            result = self._run_pass(key, resource, admitted, jobs, api_errors)
        except ClusterError:
            raise
        except Exception as error:  # noqa: BLE001 (tenants write to the store)
            lasts = not isinstance(error, StoreUnavailable)
            if isinstance(error, StoreError):
                self._metrics.count_store_error(error)
            result = self._result_without_store(key, resource, error_reason(error))
            if not isinstance(error, BlockedError):
                self._count_failure(key, lasts=lasts)
        else:
            self._failures.pop(key, None)
            return result
        memory = self._memories.get(key)
        # A Job of which the API server has not answered whether it exists may train the pool.
        if memory is not None and lasts and not (api_errors.errors or trains_pool(jobs)):
            memory.session.release_pool()
        return result

    def _admitted(self, key: SearchKey, resource: SearchView) -> Admitted | Reason:
        """Decide once for each generation: a pass changes neither the spec nor our settings."""
        memory = self._memories.get(key)
        if memory is not None and memory.is_of(resource):
            return memory.admitted
        admitted = admit(resource, self._settings)
        if isinstance(admitted, Reason):
            return admitted
        return self._search_limit.refusal(resource, self._settings.rules(key.namespace)) or admitted

    def _run_pass(
        self,
        key: SearchKey,
        resource: SearchView,
        admitted: Admitted,
        jobs: SearchJobs,
        api_errors: ApiErrors,
    ) -> PassResult:
        memory = self._memories.get(key)
        if memory is not None and memory.uid != resource.uid:
            self.forget(key)
        memory = self._memories.current(key, resource, admitted)
        status = resource.status
        memory.gpu_time.lost = float(status.get("lostGpuHours", 0)) * 3600
        return SearchPass(
            memory=memory,
            jobs=jobs,
            lookups=self._lookups,
            settings=self._settings,
            clock=self._clock,
            resumed=was_suspended_by_user(status) and not memory.session.spec.suspend,
            forgiven=status.get("forgivenTrials", 0),
            api_errors=api_errors,
            status=status,
            accepts=resource.annotations.get(ACCEPT, ""),
        ).run()

    def _result_without_store(
        self, key: SearchKey, resource: SearchView, *reasons: Reason
    ) -> PassResult:
        memory = self._memories.get(key)
        result = PassResult(resource.generation, problems=reasons)
        if memory is None:
            return result
        return replace(result, folder=memory.search.uri, image=memory.image)

    def _count_failure(self, key: SearchKey, *, lasts: bool) -> None:
        """Count the failures in a row that last, after which the store is read again."""
        self._failures[key] = self._failures.get(key, 0) + 1 if lasts else 0
        if lasts and (memory := self._memories.get(key)):
            memory.invalidate()

    def _publish(self, key: SearchKey, resource: SearchView, result: PassResult) -> Requeue:
        memory = self._memories.get(key)
        patched = memory.patched if memory is not None else None
        since = seconds_since(patched, self._clock())
        written = self._publisher.publish(resource, result, since)
        if written and memory is not None:
            memory.patched = self._clock()
        lease = memory.session.lease if memory is not None else None
        again = requeue(
            result,
            self._failures.get(key, 0),
            holds_pool=lease is not None and lease.held,
            progress_seconds=self._settings.progress_seconds,
            now=datetime.now(UTC),
        )
        quiet = again.after is None and not written and since >= self._settings.progress_seconds
        if quiet and self._completed.add(key, resource, result, self._jobs(key, resource)):
            self._memories.pop(key, None)
        return again

    def _delete(self, key: SearchKey, resource: SearchView) -> Requeue:
        if (memory := self._memories.get(key)) is not None:
            memory.session.release_pool()
        deletion = DataDeletion(self._client, self._jobs(key, resource))
        try:
            done = deletion.delete(resource, self._settings, self._stores)
        except StoreError as error:
            self._metrics.count_store_error(error)
            done = store_reason(error)
            log.warning("%s", done.message)
        if isinstance(done, Reason):
            return self._publish(key, resource, self._result_without_store(key, resource, done))
        return Requeue() if done else Requeue(after=DELETING_SECONDS)

    def _jobs(self, key: SearchKey, resource: SearchView) -> SearchJobs:
        return SearchJobs(self._client, self._cache, key, resource.uid)
