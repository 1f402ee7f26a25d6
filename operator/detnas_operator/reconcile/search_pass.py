"""One pass over an accepted search: observe, decide, apply; what it found becomes the status."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from detnas.ledger.history import write_segments
from detnas.lifecycle.failures import set_aside_failures, vital_failures
from detnas.lifecycle.pools.lease import PoolLease
from detnas.lifecycle.pools.retry import retry_failed_pool
from detnas.lifecycle.reading.state import SearchState
from detnas.plan.stages import DueJob, Plan, Verb, plan
from detnas.reasons import Reason, ReasonCode
from detnas_operator.configuration.settings import OperatorSettings
from detnas_operator.job.job import job_manifest, service_manifest
from detnas_operator.job.order import JobOrder, Owner
from detnas_operator.job_state.accounting import pod_seconds
from detnas_operator.job_state.ended_pods import own_pods, pods_to_end
from detnas_operator.lookups.lost_logs import LostLogs, has_failed_pods
from detnas_operator.lookups.pod_lookup import PodLookup
from detnas_operator.lookups.progress_reader import ProgressReader
from detnas_operator.lookups.workload_lookup import WorkloadLookup
from detnas_operator.reconcile.api_errors import ApiErrors
from detnas_operator.reconcile.changed_data import changed_data
from detnas_operator.reconcile.data_loss import DataLostError, data_lost, missing_data, token
from detnas_operator.reconcile.explaining import is_suspended
from detnas_operator.reconcile.finding import Finding
from detnas_operator.reconcile.gpu_time import used_gpu_seconds
from detnas_operator.reconcile.memory import SearchMemory
from detnas_operator.reconcile.observing import (
    Naming,
    is_finished,
    overran,
    seen_jobs,
    trial_may_have_ended,
)
from detnas_operator.reconcile.restraint import Block, restraint
from detnas_operator.reconcile.search_jobs import (
    SearchJobs,
    about_job,
    has_ended,
    purpose,
    trial_of,
    waits_for,
)
from detnas_operator.reconcile.settling import FailureRecorder
from detnas_operator.reconcile.steps import OVER, Steps, steps
from detnas_operator.status.pass_result import PassResult
from detnas_operator.telemetry.logs import about

log = logging.getLogger(__name__)
Object = dict[str, Any]

_ROUNDS = 4
"""FailureRecorder jobs changes what is due, at most from the setup through to the export."""


@dataclass
class SearchPass:
    """One pass.

    Attributes:
        memory: of the search.
        jobs: its Jobs in the cluster.
        lookup: knows why Jobs do not run.
        progress: reads what running Jobs write.
        workloads: what Kueue says of them.
        settings: the administrator's.
        clock: seconds, rising.
        resumed: the user has just resumed the search: what failed is tried again.
        forgiven: trials below this number no longer count as failures in a row.
        undone: takes what the API server does not do for one Job; the pass goes on with others.
        said: the status that the resource has.
        accepts: token of the lost data that a person lets be done again.
    """

    memory: SearchMemory
    jobs: SearchJobs
    lookup: PodLookup
    workloads: WorkloadLookup
    progress: ProgressReader
    settings: OperatorSettings
    clock: Callable[[], float]
    resumed: bool = False
    forgiven: int = 0
    undone: ApiErrors = field(default_factory=ApiErrors)
    said: Mapping[str, Any] = field(default_factory=dict)
    accepts: str = ""
    _troubles: list[Reason] = field(default_factory=list)
    _decided: Plan = field(init=False)
    _restraint: Block = field(init=False)

    def run(self) -> PassResult:
        """Do what is to be done, and return what was found.

        Raises:
            ClusterError: the API server is away, or does not do what all else hangs on.
            StoreError: the store can not be used.
            DataLostError: the store lacks what the status says was finished.
        """
        self.memory.heard = self.progress.heard(self.jobs.key)
        if accepted := self._read():
            return self._accept(accepted)
        if self.resumed:
            self._forgive()
        todo = self._decide()
        if (todo.settle or todo.start or todo.propose) and not self.memory.is_recorded:
            self.memory.look_afresh()  # the store was emptied meanwhile: nothing builds on that
            self._read()
        for _ in range(_ROUNDS):
            if not todo.settle or self.undone.errors:
                break
            self._settle(todo.settle)
            todo = self._decide()
        self._apply(todo)
        return self._findings()

    @property
    def _state(self) -> SearchState:
        return self.memory.reader.state

    @property
    def _naming(self) -> Naming:
        return Naming(self.memory.requests, self._state)

    def _read(self) -> str:
        """Read where the search stands; return the token of a loss that is accepted just now.

        Raises:
            DataLostError: what the status says was finished is not there, and none accepts it.
        """
        jobs, memory = self.jobs.all(), self.memory
        memory.reader.read(lambda trial: trial_may_have_ended(jobs, memory, trial))
        if not memory.compared:
            accepted = str(self.said.get("acceptedDataLoss", ""))
            missing = missing_data(memory, self.said)
            value = token(missing, accepted)
            if missing and value != self.accepts:
                running = sorted(self.jobs.live())
                namespace = self.jobs.key.namespace
                raise DataLostError(
                    data_lost(missing, memory.search.uri, namespace, running, value)
                )
            if missing:
                return value
            memory.compared = True
        memory.record()
        return ""

    def _accept(self, accepted: str) -> PassResult:
        """Take the store for what is finished; once the status says so, the search goes on."""
        memory, spec = self.memory, self.memory.spec
        memory.record()
        log.warning("the loss of data is accepted (%s): what is lost is done again", accepted)
        for name, job in self.jobs.all().items():
            # What it was asked may be asked otherwise now, and its end says nothing of that.
            if not is_finished(self._state, purpose(job)):
                self._stop(name, "what it did is lost")
        self._decided = plan(self._state.observation, spec)
        self._restraint = Block(suspended=spec.suspend)
        memory.used_gpu_seconds = memory.lost_gpu_seconds = 0.0
        before = float(self.said.get("gpuHours", 0)) * 3600
        memory.lost_gpu_seconds = max(0.0, before - self._gpu_seconds())
        return replace(self._findings(), accepted_loss=accepted, accepts_loss=True)

    def _decide(self) -> Steps:
        self._read()
        self._settle_givens()
        jobs, spec, state = self.jobs.all(), self.memory.spec, self._state
        self._decided = plan(state.observation, spec)
        seen = seen_jobs(jobs, self._naming, self.memory, self.clock())
        changed = changed_data(self.jobs, seen)
        used, summary = self._gpu_seconds(), state.history.summary
        rules = self.settings.rules(self.jobs.key.namespace)
        self._restraint = restraint(
            spec,
            summary,
            used,
            self.forgiven,
            changed or self.memory.admitted.violation,
            rules.policy.maximum.gpu_hours,
        )
        return steps(self._decided, seen, self._naming.name, self._restraint)

    def _settle_givens(self) -> None:
        memory = self.memory
        memory.given.settle(memory.reader)
        retried = retry_failed_pool(memory.store, memory.requests, memory.reader, self._claim)
        if retried:
            log.info("%s failed under another search: it is tried again", retried)

    def _gpu_seconds(self) -> float:
        memory, jobs = self.memory, self.jobs
        if memory.running.read is None:  # or those that run would seem to have used nothing
            with self.undone:
                live = {n: job for n, job in jobs.live().items() if not is_suspended(job)}
                memory.running.look_up(live.values(), jobs.pods_of(*live), datetime.now(UTC))
        return used_gpu_seconds(memory, jobs, self._naming, trained_pool=self._trained_pool())

    def _trained_pool(self) -> bool:
        memory, claim = self.memory, self._claim
        if claim is None or claim.held:
            return claim is not None
        if len(self._state.pool) < len(memory.spec.teachers.phases):
            return False
        if memory.trained_pool is None:
            memory.trained_pool = claim.was_last_held()
        return memory.trained_pool

    @property
    def _claim(self) -> PoolLease | None:
        key = self.jobs.key
        holder = (
            f"search {key.name} in namespace {key.namespace} ({self.memory.requests.search[-8:]})"
        )
        return self.memory.pool_claim(holder, self.clock)

    def _forgive(self) -> None:
        """Let what failed be tried again: its Jobs go first, so that they do not fail it again."""
        state = self.memory.reader.read()
        naming, failed = self._naming, vital_failures(self.memory.requests, state)
        for name, job in self.jobs.all().items():
            due = purpose(job)
            again = naming.folder(due) in failed or not is_finished(state, due)
            if has_ended(job) and again and naming.name(due) == name:
                # Where a result tells its time, that is set aside with it.
                end = self.jobs.delete if naming.folder(due) in failed else self._stop
                end(name, "the search is resumed")
        for folder in set_aside_failures(self.memory.store, self.memory.requests, state):
            log.info("%s failed before: it is tried again", folder)
        self.forgiven = state.history.summary.next_index
        self.memory.look_afresh()

    def _settle(self, names: tuple[str, ...]) -> None:
        memory = self.memory
        rejected, tenant = memory.verification.rejected, memory.admitted.tenant
        settling = FailureRecorder(memory.store, self.jobs, rejected, tenant)
        jobs = self.jobs.all()
        for job in (jobs[name] for name in names if name in jobs):
            due = purpose(job)
            with about_job(job), self.undone:
                late = None if has_ended(job) else overran(job, due, self._state, memory)
                settling.settle(job, due, self._naming.folder(due), late)

    def _apply(self, todo: Steps) -> None:
        why = str(self._decided.phase) if self._decided.phase in OVER else "not wanted now"
        for name in todo.forget:
            self.jobs.forget(name)
        for name in todo.postpone:
            with self.undone:
                self.jobs.postpone_expiry(name)
        for name in todo.end_pods:
            with self.undone:
                self._end_pods(name)
        for name in todo.delete:
            self._stop(name, why)
        self._keep_pool_claim()
        self._troubles += self.memory.labels.restore(self.jobs, self.undone)
        for due in todo.start:
            if due.verb is not Verb.POOL or self._holds_pool():
                self._start(due)
        for proposal in self.memory.requesting.propose(todo.propose):
            self._start(DueJob(Verb.EVALUATE, proposal.index))
        for name in todo.expire:
            with self.undone:
                self._keep_lost_logs(name)  # before the Job may go
                self.jobs.expire(name, self.settings.jobs.ttl_seconds)
        self._tell_awaited(todo.awaited)
        self._tidy()

    def _tell_awaited(self, names: Iterable[str]) -> None:
        """Say what Jobs that are being deleted, and whose names are needed, wait for."""
        for name in names:
            if job := self.jobs.all().get(name):
                said = f"job {name} is being deleted; {waits_for(job)}"
                self._troubles.append(Reason(ReasonCode.NAME_TAKEN, said))

    def _start(self, due: DueJob) -> None:
        """Create a due job's Job, its request first, so that a crash in between loses nothing."""
        if due.verb is not Verb.EVALUATE:  # a trial's request is what makes it due
            requesting = self.memory.requesting
            requesting.record(requesting.due_request(due, self._state))
        key, tenant = self.jobs.key, self.memory.admitted.tenant
        order = JobOrder(
            owner=Owner(key.name, key.namespace, self.jobs.uid),
            due=due,
            folder=self._naming.folder(due),
            store=self.memory.store.uri,
            spec=self.memory.spec,
            image=self.memory.image,
        )
        # What was wrong with an earlier result says nothing of how this Job will end.
        self.memory.verification.rejected.pop(order.folder, None)
        service = service_manifest(order)
        job = job_manifest(order, self.settings, tenant)
        with about(job=order.name, trial=trial_of(due)), self.undone:
            refused = self.jobs.start([job] if service is None else [service, job])
            if refused is not None and refused not in self._troubles:
                self._troubles.append(refused)

    def _holds_pool(self) -> bool:
        claim = self._claim
        return claim is not None and claim.hold()

    def _keep_pool_claim(self) -> None:
        """Keep the claim up while a phase is trained, and give it back when none is to be."""
        claim = self._claim
        live = self.jobs.live()
        trained = [name for name, job in live.items() if purpose(job).verb is Verb.POOL]
        if claim is None or not any(job.verb is Verb.POOL for job in self._decided.due):
            self.memory.release_pool()
            return
        # After a restart there may be a Job of ours whose claim nobody keeps up yet.
        held = (claim.held or bool(trained)) and claim.hold()
        if self._restraint.starts_nothing:
            self.memory.release_pool()
        elif not held:
            for name in trained:
                self._stop(name, f"{claim.other} trains the pool now")

    def _stop(self, name: str, why: str) -> None:
        """Delete a Job that may be running; its time is kept first: it counts all the same."""
        with self.undone:
            if job := self.jobs.all().get(name):
                with self.undone:
                    self._keep_lost_logs(name)
                self.memory.stopped.record(job, self._spent(job))
            self.jobs.delete(name, why)

    def _end_pods(self, name: str) -> None:
        """End pods whose trainer has failed: only then the Job controller counts them."""
        job = self.jobs.all()[name]
        found = pods_to_end(job, self.jobs.pods_of(name))
        if not found:  # what was seen of them is some seconds old
            return
        with about_job(job):
            logs, folder = self._lost_logs, self._naming.folder(purpose(job))
            logs.keep(folder, found)
            logs.keep_last(folder, found)
            self.jobs.end_pods(name, found)

    def _spent(self, job: Object) -> float:
        """Seconds of a Job's pods; as last seen, where they can not be listed."""
        now = datetime.now(UTC)
        with self.undone:
            pods = own_pods(job, self.jobs.pods_of(job["metadata"]["name"]))
            return pod_seconds(pods, now)
        return self.memory.running.seconds(job, now)

    def _keep_lost_logs(self, name: str) -> None:
        job = self.jobs.all().get(name)
        if job is None or not has_failed_pods(job):
            return
        due = purpose(job)
        if self._naming.folder(due) and self._naming.name(due) == name:
            pods = own_pods(job, self.jobs.pods_of(name))
            with about_job(job):
                self._lost_logs.keep(self._naming.folder(due), pods)

    @property
    def _lost_logs(self) -> LostLogs:
        return LostLogs(self.memory.store, self.jobs.log_end)

    def _tidy(self) -> None:
        state = self._state
        if state.facts is None:
            return
        store, search = self.memory.store, self.memory.requests.search
        self.memory.reader.remember(write_segments(store, search, state.history))
        self.memory.collector.collect(self._state.history, state.facts)

    def _findings(self) -> PassResult:
        return Finding(
            memory=self.memory,
            jobs=self.jobs,
            lookup=self.lookup,
            workloads=self.workloads,
            progress=self.progress,
            naming=self._naming,
            decided=self._decided,
            restraint=self._restraint,
            now=self.clock(),
            progress_seconds=self.settings.progress_seconds,
            undone=self.undone,
            accepted_loss=str(self.said.get("acceptedDataLoss", "")),
        ).findings(self._gpu_seconds(), self.forgiven, tuple(self._troubles))
