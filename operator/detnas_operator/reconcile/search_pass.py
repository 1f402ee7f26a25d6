"""One pass over an accepted search: observe, decide, apply; its result becomes the status."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from detnas.lifecycle.search_status import search_status
from detnas.lifecycle.session import SearchSession
from detnas.reasons import Reason
from detnas.records.results import Outcome
from detnas.spec.batch_shares import unequal_shares
from detnas_operator.admission.data_loss import accepted_loss
from detnas_operator.cluster.labels import ACCEPT
from detnas_operator.cluster.searches import SearchView
from detnas_operator.configuration.settings import OperatorSettings
from detnas_operator.reconcile.active_jobs import ActiveJobObserver, Lookups
from detnas_operator.reconcile.applying import DecisionApplier
from detnas_operator.reconcile.block import Block, find_block
from detnas_operator.reconcile.memory import SearchMemory
from detnas_operator.reconcile.observed_jobs import (
    changed_data,
    observe_jobs,
    overdue_message,
    trial_may_have_ended,
)
from detnas_operator.reconcile.steps import Decision, decide_steps
from detnas_operator.reconcile.stopping import JobStopper
from detnas_operator.search_jobs.failure_recorder import FailureRecorder
from detnas_operator.search_jobs.jobs import SearchJobs, about_job, job_id_of
from detnas_operator.status.pass_result import PassResult

log = logging.getLogger(__name__)

_ROUNDS = 4
"""Recording failures changes what is due: at most once for each stage up to the export."""


@dataclass(frozen=True, slots=True)
class SearchPass:
    """One pass.

    Attributes:
        memory: of the search.
        jobs: its Jobs in the cluster.
        resource: as last observed.
        lookups: shared by all searches.
        settings: the administrator's.
        clock: monotonic, in seconds.
    """

    memory: SearchMemory
    jobs: SearchJobs
    resource: SearchView
    lookups: Lookups
    settings: OperatorSettings
    clock: Callable[[], float]

    def run(self) -> PassResult:
        """Do what is due, and return the result.

        Raises:
            ClusterError: the API server is unreachable, or refuses what the whole pass depends on.
            StoreError: the store cannot be used.
            DataLostError: the store lacks what is finished according to the status.
        """
        memory = self.memory
        memory.gpu_time.written_off = self.resource.lost_gpu_hours * 3600
        memory.running.progress = self.lookups.progress.readings(self.jobs.key)
        # Trials below this number no longer count as failures in a row.
        forgiven = self.resource.forgiven_trials
        self._refresh()
        if loss := self._compare():
            result = self._accept_loss(loss, forgiven)
        else:
            result = self._advance(forgiven)
        observer = self._observer()
        if observer.check_is_due():  # last: the result still follows from the earlier state
            memory.running.checked = observer.now
            observer.check_store()
            observer.list_running(result.jobs.values())
        return result

    def _advance(self, forgiven: int) -> PassResult:
        """Decide and apply what is due."""
        memory = self.memory
        if self.resource.was_suspended_by_user and not self._session.spec.suspend:
            forgiven = self._retry_failures()
        decision = self._decide(forgiven)
        if decision.steps.build_on_the_store and not memory.is_recorded():
            memory.invalidate()  # the store was emptied meanwhile: nothing may build on that
            self._refresh()
            self._compare()
        for _ in range(_ROUNDS):
            if not decision.steps.fail or self.jobs.api_errors.errors:
                break
            self._record_failures(decision.steps.fail)
            decision = self._decide(forgiven)
        problems = DecisionApplier(memory, self.jobs, self.settings).apply(decision)
        return self._result(decision, forgiven, problems)

    @property
    def _session(self) -> SearchSession:
        return self.memory.session

    def _refresh(self) -> None:
        """Read what the search's Jobs may have written since it was last read."""
        jobs, memory = self.jobs.all(), self.memory
        self._session.refresh(lambda trial: trial_may_have_ended(jobs, memory, trial))

    def _compare(self) -> str:
        """Compare the state with the status, once; return the token of an accepted data loss.

        Raises:
            DataLostError: what is finished according to the status is missing, and not accepted.
        """
        memory, status = self.memory, self.resource.status
        if not memory.compared:
            running, namespace = sorted(self.jobs.live()), self.jobs.key.namespace
            accepts = self.resource.annotations.get(ACCEPT, "")
            if loss := accepted_loss(
                self._session, status, accepts, namespace, running, memory.is_recorded
            ):
                return loss
            memory.compared = True
        memory.record()
        return ""

    def _accept_loss(self, loss: str, forgiven: int) -> PassResult:
        """Take as finished what the store has; the search continues once the status agrees."""
        memory, gpu_time = self.memory, self.memory.gpu_time
        memory.record()
        log.warning("the loss of data is accepted (%s): what is lost is done again", loss)
        for name, job in self.jobs.all().items():
            # Its request may be another one now, which its result would not answer.
            if not self._session.state.is_finished(job_id_of(job)):
                JobStopper(memory, self.jobs).stop(name, "what it did is lost")
        gpu_time.reset()
        self._count_gpu_time()
        before = self.resource.gpu_hours * 3600
        gpu_time.written_off = max(0.0, before - gpu_time.used)
        block = Block(suspended=self._session.spec.suspend)
        result = self._result(Decision(self._session.plan(), block), forgiven, [])
        return replace(result, accepted_loss=loss, accepts_loss=True)

    def _decide(self, forgiven: int) -> Decision:
        self._refresh()
        self._compare()  # again after failures were set aside
        if retried := self._session.resolve_supplied():
            log.info("%s failed under another search and is retried", retried)
        planned, namespace = self._session.plan(), self.jobs.key.namespace
        observed = observe_jobs(self.jobs.all(), self.memory, self.clock())
        self._count_gpu_time()
        block = find_block(
            self._session.spec,
            self._session.state.history.summary,
            used_gpu_seconds=self.memory.gpu_time.used,
            forgiven=forgiven,
            other=changed_data(self.jobs, observed) or self.memory.admitted.violation,
            default_gpu_hours=self.settings.rules(namespace).policy.maximum.gpu_hours,
        )
        steps = decide_steps(planned, observed, self.memory.job_name, block)
        return Decision(planned, block, steps)

    def _count_gpu_time(self) -> None:
        memory, jobs, gpu_time = self.memory, self.jobs, self.memory.gpu_time
        if gpu_time.listed is None:  # otherwise running Jobs would seem to have used nothing
            live = {n: job for n, job in jobs.live().items() if not job.suspended}
            pods = jobs.api_errors.attempt(jobs.pods_of, *live)
            if pods is not None:
                gpu_time.list_running(live.values(), pods, datetime.now(UTC))
        trained_pool = memory.owns_pool()
        state, spec = self._session.state, self._session.spec
        gpu_time.count(jobs.all().values(), state, spec, trained_pool=trained_pool)

    def _retry_failures(self) -> int:
        """Retry what failed; return the number of the next trial: earlier ones are forgiven.

        Its Jobs are deleted first, so that they do not fail it again.
        """
        memory, session, state = self.memory, self._session, self._session.refresh()
        failed = session.vital_failures()
        for name, job in self.jobs.all().items():
            job_id = job_id_of(job)
            has_failed = session.job_folder(job_id) in failed
            retried = has_failed or not state.is_finished(job_id)
            if job.has_ended and retried and memory.job_name(job_id) == name:
                # If a result states its time, that is set aside with it.
                end = self.jobs.delete if has_failed else JobStopper(memory, self.jobs).stop
                end(name, "the search is resumed")
        for folder in session.retry_failures():
            log.info("%s failed before and is retried", folder)
        memory.invalidate()
        return state.history.summary.next_index

    def _record_failures(self, names: Iterable[str]) -> None:
        recorder = FailureRecorder(self._session, self.jobs, self.memory.admitted.tenant)
        jobs = self.jobs.all()
        for job in (jobs[name] for name in names if name in jobs):
            job_id = job_id_of(job)
            why = None if job.has_ended else overdue_message(job, job_id, self.memory)
            with about_job(job):
                self.jobs.api_errors.attempt(recorder.record, job, job_id, why)

    def _result(self, decision: Decision, forgiven: int, problems: list[Reason]) -> PassResult:
        """Observe what runs now, and return what the status follows from."""
        memory, session, state = self.memory, self._session, self._session.state
        observer = self._observer()
        self._count_gpu_time()
        active = observer.observe()
        return PassResult(
            generation=memory.generation,
            folder=memory.search.uri,
            image=memory.image,
            search=search_status(memory.search, state, memory.running.progress_of),
            suspended=decision.block.suspended,
            blocked=decision.block.reason,
            jobs=active,
            pool=memory.pool_uri(),
            pool_phases=_phases(session),
            pool_holder=_pool_holder(session, is_due=bool(decision.planned.due)),
            problems=(*problems, *observer.stalled(active)),
            warnings=tuple(map(str, unequal_shares(session.spec))),
            gpu_seconds=memory.gpu_time.used,
            forgiven=forgiven,
            lost_gpu_seconds=memory.gpu_time.written_off,
            accepted_loss=self.resource.accepted_data_loss,
        )

    def _observer(self) -> ActiveJobObserver:
        return ActiveJobObserver(
            memory=self.memory,
            jobs=self.jobs,
            lookups=self.lookups,
            now=self.clock(),
            progress_seconds=self.settings.progress_seconds,
        )


def _phases(session: SearchSession) -> tuple[int, int]:
    """Return how many phases of the pool are trained, and how many there are."""
    pool = session.state.pool
    trained = sum(phase.outcome is Outcome.SUCCEEDED for phase in pool)
    return trained, len(session.spec.teachers.trained_phases)


def _pool_holder(session: SearchSession, *, is_due: bool) -> str:
    """Return which search trains the pool that this one waits for; empty if it does not wait."""
    lease = session.lease
    is_trained = len(session.state.pool) >= len(session.spec.teachers.trained_phases)
    if lease is None or lease.held or is_trained or not is_due:
        return ""
    return lease.other or ""
