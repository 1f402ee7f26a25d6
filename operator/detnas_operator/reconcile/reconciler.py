"""A pass over one search, whatever state it is in: the work queue's only task."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from detnas.errors import UserError
from detnas.lifecycle.blocked import BlockedError
from detnas.lifecycle.pools.lease import PoolLease
from detnas.reasons import Reason, ReasonCode
from detnas.store.errors import StoreError, StoreUnavailable
from detnas_operator.admission.admission import Admitted, admit
from detnas_operator.admission.adoption import is_anothers
from detnas_operator.admission.placement import own_folder
from detnas_operator.admission.search_limit import SearchCap
from detnas_operator.cluster import ClusterError, KubernetesClient
from detnas_operator.cluster.cache import ClusterCache, SearchKey
from detnas_operator.configuration.settings import OperatorSettings
from detnas_operator.lookups.pod_lookup import PodLookup
from detnas_operator.lookups.progress_reader import ProgressReader
from detnas_operator.lookups.workload_lookup import WorkloadLookup
from detnas_operator.queue.work_queue import Requeue
from detnas_operator.reconcile.api_errors import PATIENCE, ApiErrors
from detnas_operator.reconcile.data_loss import ACCEPT, DataLostError
from detnas_operator.reconcile.deletion import (
    Finalizing,
    has_finalizer,
    holds_up,
    wants_data_deleted,
)
from detnas_operator.reconcile.halting import JobStopper
from detnas_operator.reconcile.lease_keeper import trains_pool
from detnas_operator.reconcile.memory import SearchMemory, begin, parse_time, seconds_since
from detnas_operator.reconcile.publishing import Publisher
from detnas_operator.reconcile.requeue import requeue
from detnas_operator.reconcile.resting import CompletedSearches
from detnas_operator.reconcile.search_jobs import SearchJobs
from detnas_operator.reconcile.search_pass import SearchPass
from detnas_operator.reconcile.stopping import Stopping
from detnas_operator.reconcile.troubles import store_trouble, trace_id, unexpected
from detnas_operator.status.blocked import suspended_since, was_suspended_by_user
from detnas_operator.status.pass_result import PassResult
from detnas_operator.telemetry.logs import about
from detnas_operator.telemetry.metrics import Metrics
from detnas_operator.tenant_store.stores import Stores
from detnas_operator.tenant_store.time_limit import LONGEST_PASS, at_most

log = logging.getLogger(__name__)
Object = dict[str, Any]

DELETING_SECONDS = 2.0


class Reconciler:
    """Brings searches nearer to what their resources ask for.

    Args:
        settings: the administrator's.
        client: of the API server.
        cache: what the cluster was last seen to hold.
        metrics: what Prometheus scrapes.
        clock: seconds, rising.
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
        self._memories: dict[SearchKey, SearchMemory] = {}
        self._failures: dict[SearchKey, int] = {}
        self._undone: dict[SearchKey, int] = {}
        self._resting = CompletedSearches()
        self._stopping = Stopping()
        self._lookup = PodLookup(client, clock)
        self.progress = ProgressReader(settings.progress_seconds, clock=clock)
        self._cap = SearchCap(cache)
        self._workloads = WorkloadLookup(client, clock)
        self._stores = Stores(shared_pools=settings.storage.shared_pools, workers=settings.workers)

    def reconcile(self, key: SearchKey) -> Requeue:
        """Make one pass over a search.

        Raises:
            ClusterError: the API server can not be used; the work queue tries again.
        """
        resource = self._cache.search(key)
        if resource is None:
            self.forget(key)
            return Requeue(gone=True)
        with about(search=key.name, namespace=key.namespace), at_most(LONGEST_PASS):
            if "deletionTimestamp" in resource["metadata"]:
                return self._end(key, resource)
            return self._pass(key, resource)

    def claims(self) -> list[PoolLease]:
        """Return every search's side of its pool's claim; from any thread."""
        return [one.claim for one in list(self._memories.values()) if one.claim is not None]

    def forget(self, key: SearchKey) -> None:
        """Drop what is kept of a search that is gone."""
        memory = self._memories.pop(key, None)
        self._failures.pop(key, None)
        self._undone.pop(key, None)
        self._resting.forget(key)
        self._stopping.forget(key)
        self.progress.forget(key)
        if memory is not None:
            memory.release_pool()
        self._metrics.forget_search(key.namespace, key.name)

    def _pass(self, key: SearchKey, resource: Object) -> Requeue:
        jobs, undone = self._jobs(key, resource), ApiErrors()
        if self._resting.holds(key, resource, jobs):
            return Requeue()
        admitted = self._admitted(key, resource)
        if isinstance(admitted, Reason):
            generation = resource["metadata"]["generation"]
            findings = PassResult(generation, not_accepted=admitted)
            self._halt(key, jobs, "the search is not accepted", undone)
        else:
            findings, suspended = self._in_trouble(key, resource), admitted.manifest.spec.suspend
            with undone:
                wanted = wants_data_deleted(admitted.manifest.spec)
                resource = Finalizing(self._client, jobs).keep(resource, wanted)
                self._cache.put_search(resource)
                findings = self._findings(key, resource, admitted, jobs, undone)
            if suspended and findings.search is None:  # the pass came to nothing
                self._halt(key, jobs, "the search is suspended", undone)
                findings = replace(findings, suspended=True)
            findings = self._with_stopping(resource, jobs, findings, undone)
        return self._tell(key, resource, findings, undone)

    def _with_stopping(
        self, resource: Object, jobs: SearchJobs, findings: PassResult, undone: ApiErrors
    ) -> PassResult:
        """Add whether a suspended search still has pods, and which do not stop."""
        if not findings.suspended:
            self._stopping.forget(jobs.key)
            return findings
        now = datetime.now(UTC)
        since = suspended_since(resource.get("status") or {}) or now
        with undone:
            stopping, trouble = self._stopping.look(jobs, since, now)
            troubles = (*findings.problems, *([trouble] if trouble else []))
            return replace(findings, stopping=stopping, problems=troubles)
        return findings

    def _halt(self, key: SearchKey, jobs: SearchJobs, why: str, undone: ApiErrors) -> None:
        """Stop the Jobs of a search that must not run, where no pass could."""
        memory = self._memories.get(key)
        JobStopper(jobs, memory.stopped if memory else None, undone).stop(why)
        if memory is not None:
            memory.release_pool()

    def _tell(
        self, key: SearchKey, resource: Object, findings: PassResult, undone: ApiErrors
    ) -> Requeue:
        """Publish what was found; what the API server did not do is tried again first."""
        if not undone.errors:
            self._undone.pop(key, None)
            return self._publish(key, resource, findings)
        self._undone[key] = self._undone.get(key, 0) + 1
        if self._undone[key] < PATIENCE:
            raise undone.first_to_try
        for trouble in undone.troubles():
            log.warning("%s", trouble.message)
        findings = replace(findings, problems=(*findings.problems, *undone.troubles()))
        again = self._publish(key, resource, findings)
        return replace(again, after=max(again.after or 0.0, undone.first_to_try.retry_after or 0.0))

    def _findings(
        self,
        key: SearchKey,
        resource: Object,
        admitted: Admitted,
        jobs: SearchJobs,
        undone: ApiErrors,
    ) -> PassResult:
        """Bring an accepted search on; what keeps it from going on is found as well."""
        lasts = True
        try:
            findings = self._search(key, resource, admitted, jobs, undone)
        except StoreError as error:
            self._metrics.store_failed(error)
            trouble = store_trouble(error)
            log.warning("%s", trouble.message)
            findings = self._in_trouble(key, resource, trouble)
            lasts = not isinstance(error, StoreUnavailable)
            self._count_failure(key, lasts=lasts)
        except ClusterError:
            raise
        except BlockedError as error:
            findings = self._in_trouble(key, resource, Reason(error.reason, str(error)))
        except DataLostError as error:
            log.warning("%s", error.why.message)
            findings = self._in_trouble(key, resource, error.why)
            self._count_failure(key, lasts=True)
        except UserError as error:
            log.exception("the search can not go on")
            findings = self._in_trouble(key, resource, Reason(ReasonCode.SEARCH_FAILED, str(error)))
            self._count_failure(key, lasts=True)
        except Exception as error:
            # What lies in the store is written by others: nothing there may go unsaid, or end
            # more than this search's pass.
            trace = trace_id(error)
            log.exception("the search cannot continue: trace %s", trace)
            findings = self._in_trouble(key, resource, unexpected(error, trace))
            self._count_failure(key, lasts=True)
        else:
            self._failures.pop(key, None)
            return findings
        memory = self._memories.get(key)
        # A Job of which the API server has not said whether it made it may train the pool.
        if memory is not None and lasts and not (undone.errors or trains_pool(jobs)):
            memory.release_pool()
        return findings

    def _admitted(self, key: SearchKey, resource: Object) -> Admitted | Reason:
        """Decide once for each generation: a pass changes neither the spec nor our settings."""
        memory, metadata = self._memories.get(key), resource["metadata"]
        if memory is not None and memory.is_of(metadata["uid"], metadata["generation"]):
            return memory.admitted
        admitted = admit(resource, self._settings)
        if isinstance(admitted, Reason):
            return admitted
        return self._cap.refusal(resource, self._settings.rules(key.namespace)) or admitted

    def _search(
        self,
        key: SearchKey,
        resource: Object,
        admitted: Admitted,
        jobs: SearchJobs,
        undone: ApiErrors,
    ) -> PassResult:
        memory = self._memory(key, resource, admitted)
        status = resource.get("status") or {}
        memory.lost_gpu_seconds = float(status.get("lostGpuHours", 0)) * 3600
        return SearchPass(
            memory=memory,
            jobs=jobs,
            lookup=self._lookup,
            workloads=self._workloads,
            progress=self.progress,
            settings=self._settings,
            clock=self._clock,
            resumed=was_suspended_by_user(status) and not memory.spec.suspend,
            forgiven=status.get("forgivenTrials", 0),
            undone=undone,
            said=status,
            accepts=(resource["metadata"].get("annotations") or {}).get(ACCEPT, ""),
        ).run()

    def _memory(self, key: SearchKey, resource: Object, admitted: Admitted) -> SearchMemory:
        metadata = resource["metadata"]
        memory = self._memories.get(key)
        if memory is not None and memory.uid != metadata["uid"]:
            self.forget(key)
            memory = None
        if memory is None or not memory.is_of(metadata["uid"], metadata["generation"]):
            store = self._stores.open(admitted.root, key.namespace)
            rules, live_uid = (
                self._settings.rules(key.namespace),
                partial(self._live_uid, key.namespace),
            )
            fresh = begin(resource, admitted, store, rules, live_uid)
            if memory is not None:
                fresh.claim, fresh.patched = memory.claim, memory.patched
                fresh.running = memory.running
                fresh.used_gpu_seconds = memory.used_gpu_seconds
            self._memories[key] = memory = fresh
        return memory

    def _live_uid(self, namespace: str, name: str) -> str | None:
        resource = self._cache.search(SearchKey(namespace, name))
        return None if resource is None else own_folder(resource).rpartition("-")[2]

    def _in_trouble(self, key: SearchKey, resource: Object, *troubles: Reason) -> PassResult:
        memory = self._memories.get(key)
        findings = PassResult(resource["metadata"]["generation"], problems=troubles)
        if memory is None:
            return findings
        return replace(findings, folder=memory.search.uri, image=memory.image)

    def _count_failure(self, key: SearchKey, *, lasts: bool) -> None:
        """A store that is away comes back; a damaged record does not, and is read all anew."""
        self._failures[key] = self._failures.get(key, 0) + 1 if lasts else 0
        if lasts and (memory := self._memories.get(key)):
            memory.look_afresh()

    def _publish(self, key: SearchKey, resource: Object, findings: PassResult) -> Requeue:
        memory = self._memories.get(key)
        patched = memory.patched if memory is not None else None
        since = seconds_since(patched, self._clock())
        written = self._publisher.publish(resource, findings, since)
        if written and memory is not None:
            memory.patched = self._clock()
        again = requeue(
            findings,
            self._failures.get(key, 0),
            holds_pool=memory is not None and memory.claim is not None and memory.claim.held,
            progress_seconds=self._settings.progress_seconds,
            now=datetime.now(UTC),
        )
        quiet = again.after is None and not written and since >= self._settings.progress_seconds
        if quiet and self._resting.take_in(key, resource, findings, self._jobs(key, resource)):
            self._memories.pop(key, None)
        return again

    def _end(self, key: SearchKey, resource: Object) -> Requeue:
        memory = self._memories.get(key)
        if memory is not None:
            memory.release_pool()
        finalizing = Finalizing(self._client, self._jobs(key, resource))
        finalizing.stop_jobs()  # while anybody's finalizer holds the search, its Jobs would run on
        if not has_finalizer(resource):
            return Requeue()
        admitted = admit(resource, self._settings)
        if isinstance(admitted, Reason):  # never accepted, or not any more: no data of ours to find
            log.warning("its data is left where it is: %s", admitted.message)
        if isinstance(admitted, Reason) or not wants_data_deleted(admitted.manifest.spec):
            finalizing.keep(resource, wanted=False)
            return Requeue()
        folder = own_folder(resource)
        try:
            store = self._stores.open(admitted.root, key.namespace)
            if is_anothers(store, folder, resource["metadata"]["uid"]):
                log.warning("%s is left: another resource goes on with it", folder)
                finalizing.keep(resource, wanted=False)
                return Requeue()
            if alive := finalizing.still_alive():
                return self._await_pods(key, resource, alive)
            done = finalizing.delete_data(resource, store, folder)
        except StoreError as error:
            self._metrics.store_failed(error)
            trouble = store_trouble(error)
            log.warning("%s", trouble.message)
            return self._publish(key, resource, self._in_trouble(key, resource, trouble))
        return Requeue() if done else Requeue(after=DELETING_SECONDS)

    def _await_pods(self, key: SearchKey, resource: Object, alive: list[Object]) -> Requeue:
        deleted = parse_time(resource["metadata"]["deletionTimestamp"])
        assert deleted is not None
        trouble = holds_up(alive, deleted, datetime.now(UTC))
        if trouble is None:
            return Requeue(after=DELETING_SECONDS)
        return self._publish(key, resource, self._in_trouble(key, resource, trouble))

    def _jobs(self, key: SearchKey, resource: Object) -> SearchJobs:
        return SearchJobs(self._client, self._cache, key, resource["metadata"]["uid"])
