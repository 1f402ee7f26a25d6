"""Gathers, at the end of a pass, what the status will say."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from detnas.lifecycle.status import search_status
from detnas.plan.stages import DueJob, Plan
from detnas.plan.unused_gpus import unused_gpus
from detnas.reasons import Reason, ReasonCode
from detnas.records.results import Outcome, PoolPhaseResult
from detnas_operator.job_state.observed_pods import ObservedPods
from detnas_operator.job_state.state import JobState, Running, Waiting
from detnas_operator.lookups.pod_lookup import PodLookup
from detnas_operator.lookups.progress_reader import ProgressReader
from detnas_operator.lookups.stalled_jobs import silence
from detnas_operator.lookups.workload_lookup import WorkloadLookup
from detnas_operator.reconcile.api_errors import ApiErrors
from detnas_operator.reconcile.explaining import is_suspended, job_states, unexplained
from detnas_operator.reconcile.memory import SearchMemory, parse_time, seconds_since
from detnas_operator.reconcile.observing import Naming
from detnas_operator.reconcile.restraint import Block
from detnas_operator.reconcile.search_jobs import SearchJobs, has_ended, purpose
from detnas_operator.status.pass_result import ActiveJob, PassResult

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a pass leaves to be looked at.

    Attributes:
        memory: of the search.
        jobs: its Jobs in the cluster.
        lookup: knows why Jobs do not run.
        workloads: what Kueue says of them.
        progress: reads what running Jobs write.
        naming: names what is due.
        decided: what was due.
        restraint: what kept the search from starting more.
        now: seconds, rising.
        progress_seconds: how often the progress of running Jobs is read.
        undone: takes what the API server does not say of pods and events.
        accepted_loss: token of the loss of data that was accepted last.
    """

    memory: SearchMemory
    jobs: SearchJobs
    lookup: PodLookup
    workloads: WorkloadLookup
    progress: ProgressReader
    naming: Naming
    decided: Plan
    restraint: Block
    now: float
    progress_seconds: float
    undone: ApiErrors
    accepted_loss: str = ""

    def findings(
        self, gpu_seconds: float, forgiven: int, troubles: tuple[Reason, ...]
    ) -> PassResult:
        """Return everything that the status follows from."""
        memory, state = self.memory, self.naming.state
        active = self._active()
        self._hear(active)
        self._look_up(active.values())
        pool = ""
        if state.prepare is not None and state.prepare.outcome is Outcome.SUCCEEDED:
            pool = f"{memory.store.uri}/{memory.requests.pool_folder(state.prepare)}"
        claim = memory.claim
        waits = claim is not None and not claim.held and self._pool_is_due()
        return PassResult(
            generation=memory.generation,
            folder=memory.search.uri,
            image=memory.image,
            search=search_status(memory.search, state, memory.progress_of),
            suspended=self.restraint.suspended,
            blocked=self.restraint.halted,
            jobs=active,
            pool=pool,
            pool_phases=(_trained(state.pool), len(memory.spec.teachers.phases)),
            pool_holder=(claim.other or "") if claim is not None and waits else "",
            problems=(*troubles, *self._silent(active)),
            warnings=tuple(map(str, unused_gpus(memory.spec))),
            gpu_seconds=gpu_seconds,
            forgiven=forgiven,
            lost_gpu_seconds=memory.lost_gpu_seconds,
            accepted_loss=self.accepted_loss,
        )

    def _active(self) -> Mapping[DueJob, ActiveJob]:
        memory = self.memory
        live = {name: job for name, job in self.jobs.all().items() if not has_ended(job)}
        now = datetime.now(UTC)
        held = [job for job in live.values() if is_suspended(job)]
        admissions = self.workloads.look(self.jobs.key.namespace, held)
        states = job_states(live, memory.seen_pods, admissions, now)
        if waiting := unexplained(live, states):
            with self.undone:
                memory.seen_pods = self.lookup.look(self.jobs.key.namespace, waiting)
            states = job_states(live, memory.seen_pods, admissions, now)
        else:
            memory.seen_pods = ObservedPods()
        return {purpose(job): _active_job(name, job, states[name]) for name, job in live.items()}

    def _hear(self, active: Mapping[DueJob, ActiveJob]) -> None:
        """Let what running Jobs write be read, and take in what was."""
        memory, key = self.memory, self.jobs.key
        begun = [due for due, job in active.items() if _has_begun(job.state)]
        folders = [folder for due in begun if (folder := self.naming.folder(due))]
        self.progress.follow(key, memory.store, folders)
        memory.heard = self.progress.heard(key)
        running = [job.name for job in active.values() if isinstance(job.state, Running)]
        memory.ran_since = {name: memory.ran_since.get(name, self.now) for name in running}

    def _silent(self, active: Mapping[DueJob, ActiveJob]) -> Iterator[Reason]:
        memory = self.memory
        for due, job in active.items():
            since = memory.ran_since.get(job.name)
            if since is not None:
                found = silence(job.name, memory.heard.get(self.naming.folder(due)), since)
                yield from (found,) if found is not None else ()

    def _look_up(self, active: Collection[ActiveJob]) -> None:
        memory = self.memory
        if seconds_since(memory.looked, self.now) < self.progress_seconds:
            return
        memory.looked = self.now
        asked = [heard.attempts.is_asked for heard in memory.heard.values()]
        if not (asked and all(asked)) and not memory.is_recorded:
            memory.look_afresh()  # the store was emptied: the next pass says what is lost
        self._look_up_pods(active)

    def _look_up_pods(self, active: Collection[ActiveJob]) -> None:
        """Look up what pods hold of nodes; those of Jobs that wait were listed with others'."""
        jobs = self.jobs.all()
        live = [jobs[job.name] for job in active if job.name in jobs]
        waiting = {job.name for job in active if isinstance(job.state, Waiting)}
        now, before = datetime.now(UTC), self.memory.running.read
        if before is not None and (now - before).total_seconds() < self.progress_seconds / 2:
            return  # as after a start: the pass had to know their time before it decided
        with self.undone:
            others = (jobs[name] for name in waiting if name in jobs)
            found = [pod for job in others for pod in self.memory.seen_pods.pods_of(job)]
            running = [job.name for job in active if job.name not in waiting]
            self.memory.running.look_up(live, found + self.jobs.pods_of(*running), now)
            return
        self.memory.looked = None  # the next pass asks again: does it last?

    def _pool_is_due(self) -> bool:
        phases = len(self.memory.spec.teachers.phases)
        return len(self.naming.state.pool) < phases and bool(self.decided.due)


def _trained(phases: Iterable[PoolPhaseResult]) -> int:
    return sum(phase.outcome is Outcome.SUCCEEDED for phase in phases)


def _has_begun(state: JobState) -> bool:
    """An attempt that ended at once is seldom seen to run; its successor waits for long."""
    retrying = isinstance(state, Waiting) and state.reason is ReasonCode.RETRYING
    return retrying or isinstance(state, Running)


def _active_job(name: str, job: Object, state: JobState) -> ActiveJob:
    started = parse_time(job.get("status", {}).get("startTime"))
    waiting_since = started or parse_time(job["metadata"].get("creationTimestamp"))
    return ActiveJob(
        name=name,
        state=state,
        started=started,
        waiting_since=waiting_since,
        suspended=is_suspended(job),
    )
