"""Reconciles one search, whatever state it is in: the work queue's only task."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from detnas.lifecycle.blocked import BlockedError
from detnas.lifecycle.pools.lease import PoolLease
from detnas.reasons import Reason
from detnas.store.errors import StoreError, StoreUnavailable
from detnas_operator.admission.admission import Admitted, admit
from detnas_operator.admission.search_limit import SearchLimit
from detnas_operator.cluster import ClusterError, KubernetesClient
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.searches import SearchKey, SearchView
from detnas_operator.configuration.settings import OperatorSettings
from detnas_operator.lookups.pod_lookup import PodLookup
from detnas_operator.lookups.progress_reader import ProgressReader
from detnas_operator.lookups.workload_lookup import WorkloadLookup
from detnas_operator.queue.schedule import Requeue
from detnas_operator.reconcile.active_jobs import Lookups
from detnas_operator.reconcile.deletion import DataDeletion, wants_data_deleted
from detnas_operator.reconcile.memory import KnownSearch, seconds_since
from detnas_operator.reconcile.opening import SearchOpener
from detnas_operator.reconcile.pass_errors import error_reason, store_reason
from detnas_operator.reconcile.publishing import Publisher
from detnas_operator.reconcile.requeue import all_expire, is_complete, requeue
from detnas_operator.reconcile.search_pass import SearchPass
from detnas_operator.reconcile.stopping import stop_jobs
from detnas_operator.search_jobs.api_errors import PATIENCE_PASSES
from detnas_operator.search_jobs.jobs import SearchJobs, trains_pool
from detnas_operator.status.pass_result import PassResult
from detnas_operator.telemetry.logs import about
from detnas_operator.telemetry.metrics import Metrics
from detnas_operator.tenant_store.stores import Stores
from detnas_operator.tenant_store.time_limit import MAX_PASS_SECONDS, at_most

log = logging.getLogger(__name__)

DELETING_SECONDS = 2.0
"""Between two passes over a search that is being deleted with its data."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a pass is about.

    Attributes:
        known: what is held of the search.
        resource: as last observed.
        jobs: its Jobs in the cluster.
    """

    known: KnownSearch
    resource: SearchView
    jobs: SearchJobs


class Reconciler:
    """Reconciles searches, one pass at a time.

    Args:
        settings: the administrator's.
        client: of the API server.
        cache: of the cluster's searches and Jobs.
        metrics: what Prometheus scrapes.
        wake: requests a pass over a search whose running jobs have written news.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        settings: OperatorSettings,
        client: KubernetesClient,
        cache: ClusterCache,
        metrics: Metrics,
        wake: Callable[[SearchKey], None] = lambda _key: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._client = client
        self._cache = cache
        self._metrics = metrics
        self._clock = clock
        self._publisher = Publisher(client, cache, metrics, settings.progress_seconds)
        self._progress = ProgressReader(settings.progress_seconds, wake, clock)
        self._lookups = Lookups(
            PodLookup(client, clock), WorkloadLookup(client, clock), self._progress
        )
        self._search_limit = SearchLimit(cache)
        self._stores = Stores(shared_pools=settings.storage.shared_pools, workers=settings.workers)
        self._opener = SearchOpener(settings, cache, self._stores, clock)
        self._known: dict[SearchKey, KnownSearch] = {}

    def reconcile(self, key: SearchKey) -> Requeue:
        """Reconcile a search once; one that no longer exists is forgotten.

        Raises:
            ClusterError: the API server cannot be used; the work queue retries.
        """
        resource = self._cache.search(key)
        if resource is None:
            self._forget(key)
            return Requeue(gone=True)
        with about(search=key.name, namespace=key.namespace), at_most(MAX_PASS_SECONDS):
            if key in self._known and self._known[key].uid != resource.uid:
                self._forget(key)
            known = self._known.setdefault(key, KnownSearch(resource.uid))
            jobs = SearchJobs(self._client, self._cache, key, resource.uid)
            subject = Subject(known, resource, jobs)
            if resource.is_being_deleted:
                return self._delete(subject)
            if known.complete_at == resource.version and all_expire(jobs):
                return Requeue()
            return self._pass(subject)

    def leases(self) -> list[PoolLease]:
        """Return the pool leases of all searches; from any thread."""
        leases = (known.lease for known in list(self._known.values()))
        return [lease for lease in leases if lease is not None]

    def holds(self, key: SearchKey) -> bool:
        """Whether the state of a search is held in memory."""
        known = self._known.get(key)
        return known is not None and known.memory is not None

    def _forget(self, key: SearchKey) -> None:
        """Drop what is kept in memory of a search that is gone."""
        known = self._known.pop(key, None)
        self._progress.forget(key)
        if known is not None:
            known.release_pool()
        self._metrics.forget_search(key.namespace, key.name)

    def _pass(self, subject: Subject) -> Requeue:
        admitted = self._admitted(subject)
        if isinstance(admitted, Reason):
            result = PassResult(subject.resource.generation, not_accepted=admitted)
            self._halt(subject, "the search is not accepted")
        else:
            subject, result = self._accepted_pass(subject, admitted)
            if admitted.manifest.spec.suspend and result.search is None:
                self._halt(subject, "the search is suspended")
                result = replace(result, suspended=True)
            result = self._with_stopping(subject, result)
        return self._publish_or_retry(subject, result)

    def _admitted(self, subject: Subject) -> Admitted | Reason:
        """Decide once for each generation: a pass changes neither the spec nor our settings."""
        memory = subject.known.memory
        if memory is not None and memory.generation == subject.resource.generation:
            return memory.admitted
        admitted = admit(subject.resource, self._settings)
        if isinstance(admitted, Reason):
            return admitted
        rules = self._settings.rules(subject.resource.namespace)
        return self._search_limit.refusal(subject.resource, rules) or admitted

    def _halt(self, subject: Subject, why: str) -> None:
        """Stop the Jobs of a search that must not run and over which there was no complete pass."""
        memory = subject.known.memory
        stop_jobs(subject.jobs, memory.gpu_time if memory else None, why)
        subject.known.release_pool()

    def _accepted_pass(self, subject: Subject, admitted: Admitted) -> tuple[Subject, PassResult]:
        """Make a pass over an accepted search; its resource may get another finalizer first.

        After an error of the API server the result has no state of the search.
        """
        jobs = subject.jobs
        result = _result_without_store(subject)
        wanted, deletion = wants_data_deleted(admitted.manifest.spec), DataDeletion(jobs)
        updated = jobs.api_errors.attempt(deletion.set_finalizer, subject.resource, wanted)
        if updated is None:
            return subject, result
        self._cache.put_search(updated.body)
        subject = replace(subject, resource=updated)
        return subject, jobs.api_errors.attempt(self._guarded_pass, subject, admitted) or result

    def _guarded_pass(self, subject: Subject, admitted: Admitted) -> PassResult:
        """Make a pass over an accepted search; an error that ends it becomes a reason."""
        earlier = subject.known.memory
        if earlier is not None:
            earlier.begin_pass()
        try:
            memory = self._opener.open(subject.resource, admitted, earlier)
            subject.known.memory = memory
            result = SearchPass(
                memory=memory,
                jobs=subject.jobs,
                resource=subject.resource,
                lookups=self._lookups,
                settings=self._settings,
                clock=self._clock,
            ).run()
        except ClusterError:
            raise
        except Exception as error:  # noqa: BLE001 (tenants write to the store)
            return self._failed_pass(subject, error)
        subject.known.failures = 0
        return result

    def _failed_pass(self, subject: Subject, error: Exception) -> PassResult:
        """Return the result of a pass that an error ended."""
        lasts = not isinstance(error, StoreUnavailable)
        if isinstance(error, StoreError):
            self._metrics.count_store_error(error)
        result = _result_without_store(subject, error_reason(error))
        if not isinstance(error, BlockedError):
            subject.known.failures = subject.known.failures + 1 if lasts else 0
            if lasts and subject.known.memory is not None:
                subject.known.memory.invalidate()  # the store is read again
        # A Job of which the API server has not answered whether it exists may train the pool.
        if lasts and not (subject.jobs.api_errors.errors or trains_pool(subject.jobs)):
            subject.known.release_pool()
        return result

    def _with_stopping(self, subject: Subject, result: PassResult) -> PassResult:
        """Add whether a suspended search still has pods, and which do not stop."""
        if not result.suspended:
            subject.known.suspended_pods.none_left = False
            return result
        now, jobs = datetime.now(UTC), subject.jobs
        since = subject.resource.suspended_since or now
        observed = jobs.api_errors.attempt(subject.known.suspended_pods.observe, jobs, since, now)
        if observed is None:
            return result
        stopping, reason = observed
        problems = (*result.problems, *([reason] if reason else []))
        return replace(result, stopping=stopping, problems=problems)

    def _publish_or_retry(self, subject: Subject, result: PassResult) -> Requeue:
        """Publish the result; after API errors the pass is first repeated a few times."""
        api_errors = subject.jobs.api_errors
        if not api_errors.errors:
            subject.known.passes_with_api_errors = 0
            return self._publish(subject, result)
        subject.known.passes_with_api_errors += 1
        if subject.known.passes_with_api_errors < PATIENCE_PASSES:
            raise api_errors.latest_retry
        for reason in api_errors.reasons():
            log.warning("%s", reason.message)
        result = replace(result, problems=(*result.problems, *api_errors.reasons()))
        again = self._publish(subject, result)
        after = max(again.after or 0.0, api_errors.latest_retry.retry_after or 0.0)
        return replace(again, after=after)

    def _publish(self, subject: Subject, result: PassResult) -> Requeue:
        since = seconds_since(subject.known.patched, self._clock())
        written = self._publisher.publish(subject.resource, result, since)
        if written:
            subject.known.patched = self._clock()
        again = requeue(
            result,
            subject.known.failures,
            holds_pool=subject.known.lease is not None and subject.known.lease.held,
            progress_seconds=self._settings.progress_seconds,
            now=datetime.now(UTC),
        )
        # Nothing has changed for a while, and nothing will without an event.
        quiet = again.after is None and not written and since >= self._settings.progress_seconds
        if quiet:
            complete = is_complete(result, subject.jobs)
            subject.known.complete_at = subject.resource.version if complete else None
            subject.known.memory = None if complete else subject.known.memory
        return again

    def _delete(self, subject: Subject) -> Requeue:
        subject.known.release_pool()
        try:
            done = DataDeletion(subject.jobs).delete(subject.resource, self._settings, self._stores)
        except StoreError as error:
            self._metrics.count_store_error(error)
            done = store_reason(error)
            log.warning("%s", done.message)
        if isinstance(done, Reason):
            return self._publish(subject, _result_without_store(subject, done))
        return Requeue() if done else Requeue(after=DELETING_SECONDS)


def _result_without_store(subject: Subject, *problems: Reason) -> PassResult:
    """Return the result of a pass that could not read the search's state."""
    result = PassResult(subject.resource.generation, problems=problems)
    memory = subject.known.memory
    if memory is None:
        return result
    return replace(result, folder=memory.search.uri, image=memory.image)
