"""Applies what a pass decided: stops and starts Jobs, proposes trials, keeps the pool's lease."""

from dataclasses import dataclass

from detnas.lifecycle.session import SearchSession
from detnas.plan.stages import JobId
from detnas.reasons import Reason, ReasonCode
from detnas.records.verbs import Verb
from detnas_operator.configuration.settings import OperatorSettings
from detnas_operator.job.jobset import is_jobset_chosen, jobset_manifest
from detnas_operator.job.manifest import job_manifest, service_manifest
from detnas_operator.job.order import JobOrder, Owner
from detnas_operator.reconcile.memory import SearchMemory
from detnas_operator.reconcile.steps import Decision
from detnas_operator.reconcile.stopping import JobStopper
from detnas_operator.search_jobs.creation import create_job
from detnas_operator.search_jobs.jobs import SearchJobs, job_id_of, trial_of
from detnas_operator.telemetry.logs import about


@dataclass(frozen=True, slots=True)
class DecisionApplier:
    """Applies the decision of one pass.

    Attributes:
        memory: of the search.
        jobs: its Jobs in the cluster.
        settings: the administrator's.
    """

    memory: SearchMemory
    jobs: SearchJobs
    settings: OperatorSettings

    def apply(self, decision: Decision) -> list[Reason]:
        """Take the steps; return what prevented some of them, or undoes their effect.

        Raises:
            ClusterError: the API server is unreachable.
            StoreError: the store cannot be used.
        """
        self._change_present_jobs(decision)
        self._keep_pool_lease(decision)
        problems = self.memory.labels.restore(self.jobs)
        for job_id in decision.steps.start:
            if job_id.verb is not Verb.POOL or self._session.holds_pool():
                problems += self._start(job_id)
        for job_id in self._session.propose(decision.steps.propose):
            problems += self._start(job_id)
        for name in decision.steps.expire:
            self.jobs.api_errors.attempt(self._expire, name)
        problems += self._taken_names(decision)
        self._session.tidy()
        return list(dict.fromkeys(problems))

    @property
    def _session(self) -> SearchSession:
        return self.memory.session

    @property
    def _stopper(self) -> JobStopper:
        return JobStopper(self.memory, self.jobs)

    def _change_present_jobs(self, decision: Decision) -> None:
        """Take the steps that stop or change Jobs, before others are created."""
        steps, phase, attempt = decision.steps, decision.planned.phase, self.jobs.api_errors.attempt
        for name in steps.drop:
            self.jobs.drop(name)
        for name in steps.postpone:
            attempt(self.jobs.postpone_expiry, name)
        for name in steps.end_pods:
            attempt(self._stopper.end_pods, name)
        for name in steps.delete:
            self._stopper.stop(name, str(phase) if phase.is_over else "not needed now")

    def _expire(self, name: str) -> None:
        self._stopper.store_attempt_logs(name)  # before the Job may go
        self.jobs.expire(name, self.settings.jobs.ttl_seconds)

    def _taken_names(self, decision: Decision) -> list[Reason]:
        """Return what Jobs wait for that are being deleted and whose names are needed."""
        jobs = self.jobs.all()
        return [
            Reason(ReasonCode.NAME_TAKEN, f"{job.title} is being deleted; {job.deletion_wait}")
            for name in decision.steps.name_taken
            if (job := jobs.get(name))
        ]

    def _start(self, job_id: JobId) -> list[Reason]:
        """Create a job's Job, its request first, so that a crash in between loses nothing."""
        key, tenant = self.jobs.key, self.memory.admitted.tenant
        order = JobOrder(
            owner=Owner(key.name, key.namespace, self.jobs.uid),
            job_id=job_id,
            folder=self._session.request(job_id),
            store=self._session.store.uri,
            spec=self._session.spec,
            image=self.memory.image,
        )
        problem = self.jobs.cache.jobsets_problem(key.namespace)
        chosen = self.settings.jobs.multi_node
        if is_jobset_chosen(order, chosen, usable=not problem):
            if problem:
                return [_without_jobsets(order, problem)]
            objects = [jobset_manifest(order, self.settings, tenant)]
        else:
            service = service_manifest(order)
            job = job_manifest(order, self.settings, tenant)
            objects = [job] if service is None else [service, job]
        with about(job=order.name, trial=trial_of(job_id)):
            refused = self.jobs.api_errors.attempt(create_job, self.jobs, objects)
        return [] if refused is None else [refused]

    def _keep_pool_lease(self, decision: Decision) -> None:
        """Renew the lease while a phase is trained, and release it when none is due."""
        lease = self._session.lease
        live = self.jobs.live()
        pool_jobs = [name for name, job in live.items() if job_id_of(job).verb is Verb.POOL]
        if lease is None or not any(due.verb is Verb.POOL for due in decision.planned.due):
            self._session.release_pool()
            return
        # After a restart there may be a Job of ours whose lease nobody renews yet.
        held = (lease.held or bool(pool_jobs)) and lease.hold()
        if decision.block.starts_nothing:
            self._session.release_pool()
        elif not held:
            for name in pool_jobs:
                self._stopper.stop(name, f"{lease.other} trains the pool now")


def _without_jobsets(order: JobOrder, problem: str) -> Reason:
    return Reason(
        ReasonCode.CLUSTER_REFUSED,
        f"JobSet {order.name} is not created: {problem}; install JobSet, or have the chart's value "
        "jobs.multiNode be Auto or IndexedJob",
    )
