"""One pass over an accepted search: observe, decide, apply; its result becomes the status."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from detnas.lifecycle.session import SearchSession
from detnas.plan.stages import JobId, Plan
from detnas.reasons import Reason, ReasonCode
from detnas.records.verbs import Verb
from detnas_operator.admission.data_loss import accepted_loss
from detnas_operator.configuration.settings import OperatorSettings
from detnas_operator.job.manifest import job_manifest, service_manifest
from detnas_operator.job.order import JobOrder, Owner
from detnas_operator.reconcile.active_jobs import JobObserver, Lookups, pass_result
from detnas_operator.reconcile.failure_recorder import FailureRecorder
from detnas_operator.reconcile.job_creation import create_job
from detnas_operator.reconcile.memory import SearchMemory
from detnas_operator.reconcile.observed_jobs import (
    changed_data,
    observe_jobs,
    overran,
    trial_may_have_ended,
)
from detnas_operator.reconcile.pass_errors import ApiErrors
from detnas_operator.reconcile.search_jobs import (
    SearchJobs,
    about_job,
    job_id_of,
    trial_of,
)
from detnas_operator.reconcile.steps import Block, Steps, find_block, steps
from detnas_operator.reconcile.stopping import JobStopper
from detnas_operator.status.pass_result import PassResult
from detnas_operator.telemetry.logs import about

log = logging.getLogger(__name__)

_ROUNDS = 4
"""Recording failures changes what is due: at most once for each stage up to the export."""


@dataclass
class SearchPass:
    """One pass.

    Attributes:
        memory: of the search.
        jobs: its Jobs in the cluster.
        lookups: shared by all searches.
        settings: the administrator's.
        clock: monotonic, in seconds.
        resumed: the user has just resumed the search: what failed is retried.
        forgiven: trials below this number no longer count as failures in a row.
        api_errors: collects errors of the API server about single Jobs; the pass continues.
        status: that the resource has.
        accepts: token of the data loss that the user accepts.
    """

    memory: SearchMemory
    jobs: SearchJobs
    lookups: Lookups
    settings: OperatorSettings
    clock: Callable[[], float]
    resumed: bool = False
    forgiven: int = 0
    api_errors: ApiErrors = field(default_factory=ApiErrors)
    status: Mapping[str, Any] = field(default_factory=dict)
    accepts: str = ""
    _reasons: list[Reason] = field(default_factory=list)
    _planned: Plan = field(init=False)
    _block: Block = field(init=False)

    def run(self) -> PassResult:
        """Do what is due, and return the result.

        Raises:
            ClusterError: the API server is unreachable, or refuses what the whole pass depends on.
            StoreError: the store cannot be used.
            DataLostError: the store lacks what is finished according to the status.
        """
        self.memory.progress = self.lookups.progress.readings(self.jobs.key)
        if accepted := self._read():
            return self._accept(accepted)
        if self.resumed:
            self._retry_failures()
        todo = self._decide()
        if (todo.fail or todo.start or todo.propose) and not self.memory.is_recorded:
            self.memory.invalidate()  # the store was emptied meanwhile: nothing may build on that
            self._read()
        for _ in range(_ROUNDS):
            if not todo.fail or self.api_errors.errors:
                break
            self._record_failures(todo.fail)
            todo = self._decide()
        self._apply(todo)
        return self._result()

    @property
    def _session(self) -> SearchSession:
        return self.memory.session

    @property
    def _stopper(self) -> JobStopper:
        return JobStopper(self.memory, self.jobs, self.api_errors)

    def _read(self) -> str:
        """Read the search's state; return the token of a data loss that is being accepted.

        Raises:
            DataLostError: what is finished according to the status is missing, and not accepted.
        """
        jobs, memory = self.jobs.all(), self.memory
        self._session.refresh(lambda trial: trial_may_have_ended(jobs, memory, trial))
        if not memory.compared:
            running, namespace = sorted(self.jobs.live()), self.jobs.key.namespace
            accepts = self.accepts
            if loss := accepted_loss(self._session, self.status, accepts, namespace, running):
                return loss
            memory.compared = True
        memory.record()
        return ""

    def _accept(self, loss: str) -> PassResult:
        """Take as finished what the store has; the search continues once the status agrees."""
        memory = self.memory
        memory.record()
        log.warning("the loss of data is accepted (%s): what is lost is done again", loss)
        for name, job in self.jobs.all().items():
            # Its request may be another one now, which its result would not answer.
            if not memory.session.state.is_finished(job_id_of(job)):
                self._stopper.stop(name, "what it did is lost")
        self._planned = self._session.plan()
        self._block = Block(suspended=memory.session.spec.suspend)
        memory.gpu_time.reset()
        before = float(self.status.get("gpuHours", 0)) * 3600
        memory.gpu_time.lost = max(0.0, before - self._gpu_seconds())
        return replace(self._result(), accepted_loss=loss, accepts_loss=True)

    def _decide(self) -> Steps:
        self._read()
        if retried := self._session.resolve_supplied():
            log.info("%s failed under another search and is retried", retried)
        self._planned = self._session.plan()
        observed = observe_jobs(self.jobs.all(), self.memory, self.clock())
        self._block = find_block(
            self.memory.session.spec,
            self.memory.session.state.history.summary,
            self._gpu_seconds(),
            self.forgiven,
            changed_data(self.jobs, observed) or self.memory.admitted.violation,
            self.settings.rules(self.jobs.key.namespace).policy.maximum.gpu_hours,
        )
        return steps(self._planned, observed, self.memory.job_name, self._block)

    def _gpu_seconds(self) -> float:
        memory, jobs, gpu_time = self.memory, self.jobs, self.memory.gpu_time
        if gpu_time.listed is None:  # otherwise running Jobs would seem to have used nothing
            with self.api_errors:
                live = {n: job for n, job in jobs.live().items() if not job.suspended}
                gpu_time.list_running(live.values(), jobs.pods_of(*live), datetime.now(UTC))
        return gpu_time.used(
            jobs.all().values(),
            memory.session.state,
            memory.session.spec,
            trained_pool=self._trained_pool(),
        )

    def _trained_pool(self) -> bool:
        memory, lease = self.memory, self._session.lease
        if lease is None or lease.held:
            return lease is not None
        if len(memory.session.state.pool) < len(memory.session.spec.teachers.phases):
            return False
        if memory.trained_pool is None:
            memory.trained_pool = lease.was_last_held()
        return memory.trained_pool

    def _retry_failures(self) -> None:
        """Retry what failed: its Jobs are deleted first, so that they do not fail it again."""
        memory, session, state = self.memory, self._session, self._session.refresh()
        failed = session.vital_failures()
        for name, job in self.jobs.all().items():
            job_id = job_id_of(job)
            has_failed = session.job_folder(job_id) in failed
            retried = has_failed or not state.is_finished(job_id)
            if job.has_ended and retried and memory.job_name(job_id) == name:
                # If a result states its time, that is set aside with it.
                end = self.jobs.delete if has_failed else self._stopper.stop
                end(name, "the search is resumed")
        for folder in session.retry_failures():
            log.info("%s failed before and is retried", folder)
        self.forgiven = state.history.summary.next_index
        memory.invalidate()

    def _record_failures(self, names: tuple[str, ...]) -> None:
        recorder = FailureRecorder(self._session, self.jobs, self.memory.admitted.tenant)
        jobs = self.jobs.all()
        for job in (jobs[name] for name in names if name in jobs):
            job_id = job_id_of(job)
            with about_job(job), self.api_errors:
                recorder.record(
                    job, job_id, None if job.has_ended else overran(job, job_id, self.memory)
                )

    def _apply(self, todo: Steps) -> None:
        stopper = self._stopper
        why = str(self._planned.phase) if self._planned.phase.is_over else "not needed now"
        for name in todo.drop:
            self.jobs.drop(name)
        for name in todo.postpone:
            with self.api_errors:
                self.jobs.postpone_expiry(name)
        for name in todo.end_pods:
            with self.api_errors:
                stopper.end_pods(name)
        for name in todo.delete:
            stopper.stop(name, why)
        self._keep_pool_lease()
        self._reasons += self.memory.labels.restore(self.jobs, self.api_errors)
        for job_id in todo.start:
            if job_id.verb is not Verb.POOL or self._session.holds_pool():
                self._start(job_id)
        for job_id in self._session.propose(todo.propose):
            self._start(job_id)
        for name in todo.expire:
            with self.api_errors:
                stopper.store_attempt_logs(name)  # before the Job may go
                self.jobs.expire(name, self.settings.jobs.ttl_seconds)
        self._report_taken_names(todo.name_taken)
        self._session.tidy()

    def _report_taken_names(self, names: Iterable[str]) -> None:
        """Report what Jobs wait for that are being deleted and whose names are needed."""
        for name in names:
            if job := self.jobs.all().get(name):
                message = f"job {name} is being deleted; {job.deletion_wait}"
                self._reasons.append(Reason(ReasonCode.NAME_TAKEN, message))

    def _start(self, job_id: JobId) -> None:
        """Create a due job's Job, its request first, so that a crash in between loses nothing."""
        key, tenant = self.jobs.key, self.memory.admitted.tenant
        order = JobOrder(
            owner=Owner(key.name, key.namespace, self.jobs.uid),
            job_id=job_id,
            folder=self._session.request(job_id),
            store=self._session.store.uri,
            spec=self.memory.session.spec,
            image=self.memory.image,
        )
        service = service_manifest(order)
        job = job_manifest(order, self.settings, tenant)
        with about(job=order.name, trial=trial_of(job_id)), self.api_errors:
            refused = create_job(self.jobs, [job] if service is None else [service, job])
            if refused is not None and refused not in self._reasons:
                self._reasons.append(refused)

    def _keep_pool_lease(self) -> None:
        """Renew the lease while a phase is trained, and release it when none is due."""
        lease = self._session.lease
        live = self.jobs.live()
        trained = [name for name, job in live.items() if job_id_of(job).verb is Verb.POOL]
        if lease is None or not any(job.verb is Verb.POOL for job in self._planned.due):
            self._session.release_pool()
            return
        # After a restart there may be a Job of ours whose lease nobody renews yet.
        held = (lease.held or bool(trained)) and lease.hold()
        if self._block.starts_nothing:
            self._session.release_pool()
        elif not held:
            for name in trained:
                self._stopper.stop(name, f"{lease.other} trains the pool now")

    def _result(self) -> PassResult:
        observer = JobObserver(
            memory=self.memory,
            jobs=self.jobs,
            lookups=self.lookups,
            now=self.clock(),
            progress_seconds=self.settings.progress_seconds,
            api_errors=self.api_errors,
        )
        gpu_seconds, active = self._gpu_seconds(), observer.observe()
        reasons = (*self._reasons, *observer.stalled(active))
        result = pass_result(self.memory, self._planned, self._block, active, gpu_seconds, reasons)
        observer.observe_store_and_pods(active.values())
        accepted = str(self.status.get("acceptedDataLoss", ""))
        return replace(result, forgiven=self.forgiven, accepted_loss=accepted)
