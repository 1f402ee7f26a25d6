"""One search as a scheduler drives it: the operator, the local runner and tests use this core."""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import datetime

from detnas.ledger.history import write_segments
from detnas.lifecycle.failures import record_infrastructure_failure, vital_failures
from detnas.lifecycle.inputs import SuppliedInputs
from detnas.lifecycle.job_requests import JobRequests
from detnas.lifecycle.jobs import job_folder
from detnas.lifecycle.pools.lease import PoolLease
from detnas.lifecycle.reading.state import SearchReader, SearchState
from detnas.lifecycle.reading.verification import Verification, set_aside
from detnas.lifecycle.record import StoredSearch
from detnas.lifecycle.warm_start.source import LiveUid
from detnas.lifecycle.weight_collector import WeightCollector
from detnas.plan.stages import JobId, Plan, plan, trial_verb
from detnas.records import keys
from detnas.records.results import Outcome, PrepareResult, Result
from detnas.records.verbs import RESULT_TYPES
from detnas.store.artifacts import load_record
from detnas.store.errors import StoreError


class SearchSession:
    """One search as a scheduler drives it.

    A pass of a scheduler is: `refresh`, `resolve_supplied`, `plan`; then `request` and start what
    is due, `propose` and start new trials, `fail` jobs whose attempts are used up, `tidy`.

    Args:
        search: the search, in its store.
        holder: names this scheduler in the pool's lease; the same after a restart.
        live_uid: returns the UID of the resource that has a name now; by default there are no
            resources, and the store alone decides.
        clock: monotonic, in seconds.
        lease: of an earlier session of this search, which this one continues to hold.

    Attributes:
        store: where the search is stored.
        requests: builders of its requests.
        spec: its settings.
        lease: our side of the pool's lease; None until the pool's folder is known, and where no
            pool is trained here: it is supplied, or an external teacher teaches. May be renewed
            from any thread.
    """

    def __init__(
        self,
        search: StoredSearch,
        holder: str,
        *,
        live_uid: LiveUid = lambda _name: None,
        clock: Callable[[], float] = time.monotonic,
        lease: PoolLease | None = None,
    ) -> None:
        self.store = search.store
        self.requests = search.requests
        self.spec = search.requests.spec
        self._search = search
        self._holder = holder
        self._live_uid = live_uid
        self._clock = clock
        self.lease = lease
        self.invalidate()

    @property
    def state(self) -> SearchState:
        """The search's state as last read."""
        return self._reader.state

    @property
    def rejected(self) -> dict[str, str]:
        """Why results were set aside as invalid, by the key of the job's folder."""
        return self._verification.rejected

    def invalidate(self) -> None:
        """Forget everything read: the next `refresh` reads from scratch. The lease is kept."""
        store, requests = self.store, self.requests
        self._verification = Verification(store)
        self._reader = SearchReader(store, requests, self._verification)
        self._job_requests = JobRequests(store, requests, self._reader)
        self._supplied = SuppliedInputs(self._search, self._live_uid)
        self._collector = WeightCollector(store, requests.search, requests.spec.retention)

    def refresh(self, may_have_ended: Callable[[int], bool] = lambda _: True) -> SearchState:
        """Read what is new in the store, verify new results, and return the state.

        Args:
            may_have_ended: whether the job in flight of a number may have a result. A scheduler
                that watches it knows; by default the result of each is looked for.
        """
        state = self._reader.read(may_have_ended)
        if self.lease is None and self.requests.existing_pool is None:
            self.lease = self._new_lease(state.prepare)
        return state

    def _new_lease(self, prepared: PrepareResult | None) -> PoolLease | None:
        if prepared is None or prepared.outcome is not Outcome.SUCCEEDED:
            return None
        if not self.spec.teachers.trained_phases:
            return None
        key = keys.pool_lease_key(self.requests.pool_folder(prepared))
        return PoolLease(self.store, key, self._holder, self._clock)

    def resolve_supplied(self) -> str:
        """Check the supplied inputs and inherit trials; make a failed shared pool due again.

        Called after every `refresh`; what was resolved once is not checked again.

        Returns:
            Key of the folder of a pool phase that is retried because it failed under another
            search; else nothing.

        Raises:
            BlockedError: an input is missing, unfinished or does not fit. It may be there later.
        """
        self._supplied.resolve(self._reader)
        return self._supplied.retry_failed_pool(self._reader, self.lease)

    def plan(self) -> Plan:
        """Return the jobs that are due in the current state."""
        return plan(self.state.observation, self.spec)

    def vital_failures(self) -> dict[str, Result]:
        """Return the failed results that the search cannot continue with, by job folder."""
        return vital_failures(self.requests, self.state)

    def retry_failures(self) -> list[str]:
        """Set the vital failures aside, so that their jobs are due; return the jobs' folders.

        A trial's failure is an answer to the search and stays. The failed result is kept beside
        the job's other files. Everything read is invalidated.
        """
        failed = self.vital_failures()
        for folder, result in failed.items():
            set_aside(self.store, folder, result)
        self.invalidate()
        return list(failed)

    def job_folder(self, job_id: JobId) -> str:
        """Key of a job's folder; empty while that is not known."""
        return job_folder(self.requests, self.state, job_id)

    def request(self, job_id: JobId) -> str:
        """Write the request of a due job, and return the key of the job's folder.

        A request that exists is updated with the current location of the data. That is a no-op for
        a trial on a cluster, whose store and data never move.
        """
        folder = self.job_folder(job_id)
        if not job_id.verb.is_trial:
            self._job_requests.record(self._job_requests.due_request(job_id, self.state))
        elif self.requests.folder is not None:  # its request is what makes a trial due
            self._job_requests.relocate_trial(job_id.number)
        # What was wrong with an earlier result does not say how this attempt will end.
        self.rejected.pop(folder, None)
        return folder

    def propose(self, count: int) -> Iterator[JobId]:
        """Decide and record up to ``count`` new jobs of trials; each is yielded once recorded.

        Ends early if the search has converged.
        """
        for number in self._job_requests.propose(count):
            yield JobId(trial_verb(self.spec), number)

    def result(self, job_id: JobId) -> Result | None:
        """Read the result of a job that has ended; None if it has no valid one.

        It is verified, unless the state has it already: then it was, and weights that no later step
        needs may have been collected while the job's process was still ending.
        """
        folder, kind = self.job_folder(job_id), RESULT_TYPES[job_id.verb]
        if self.state.is_finished(job_id):
            return load_record(self.store, keys.result_key(folder), kind)
        return self._reader.read_ended(folder, kind)

    def fail(
        self, job_id: JobId, message: str, started: datetime, lost: float | None = None
    ) -> Result:
        """Record an infrastructure failure, unless the job has a result; return what is stored.

        Args:
            job_id: a job whose attempts are used up.
            message: how its attempts ended, for people.
            started: when the first of them began.
            lost: seconds of lost work; by default all since ``started``.
        """
        folder = self.job_folder(job_id)
        return record_infrastructure_failure(
            self.store, job_id.verb, folder, message, started, lost
        )

    def tidy(self) -> None:
        """Delete weights no longer needed; then write complete ledger segments and the snapshot."""
        scorer = self.state.scorer
        if scorer is None:
            return
        self._collector.collect(self.state.history, scorer)
        history = write_segments(self.store, self.requests.search, self.state.history)
        self._reader.update_history(history)

    def holds_pool(self) -> bool:
        """Take the pool's lease or renew it; return whether it is held."""
        return self.lease is not None and self.lease.hold()

    def release_pool(self) -> None:
        """Let other schedulers train the pool, if we hold its lease.

        If the store is unreachable, the lease expires by its heartbeat or a later call releases it.
        """
        if self.lease is not None:
            with contextlib.suppress(StoreError):
                self.lease.release()
