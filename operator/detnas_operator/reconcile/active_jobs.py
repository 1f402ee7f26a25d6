"""Observes at the end of a pass the Jobs of a search that have not ended."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from detnas.plan.stages import JobId
from detnas.reasons import Reason, ReasonCode
from detnas_operator.cluster.objects import JobView
from detnas_operator.job_state.derive import job_state
from detnas_operator.job_state.queueing import ObservedWorkload
from detnas_operator.job_state.stalled import stalled_reason
from detnas_operator.job_state.state import JobState, Running, Waiting
from detnas_operator.lookups.pod_lookup import ObservedPods, PodLookup
from detnas_operator.lookups.progress_reader import ProgressReader
from detnas_operator.lookups.workload_lookup import WorkloadLookup
from detnas_operator.reconcile.memory import SearchMemory, seconds_since
from detnas_operator.search_jobs.jobs import SearchJobs, job_id_of
from detnas_operator.status.pass_result import ActiveJob


@dataclass(frozen=True, slots=True)
class Lookups:
    """What all searches share to observe their Jobs.

    Attributes:
        pods: why Jobs do not run.
        workloads: what Kueue reports of suspended Jobs.
        progress: what running jobs write.
    """

    pods: PodLookup
    workloads: WorkloadLookup
    progress: ProgressReader


@dataclass(frozen=True, slots=True)
class ActiveJobObserver:
    """Observes the Jobs of one search that have not ended, at the end of a pass.

    Attributes:
        memory: of the search.
        jobs: its Jobs in the cluster.
        lookups: shared by all searches.
        now: monotonic clock, in seconds.
        progress_seconds: how often the progress of running jobs is read.
    """

    memory: SearchMemory
    jobs: SearchJobs
    lookups: Lookups
    now: float
    progress_seconds: float

    def observe(self) -> Mapping[JobId, ActiveJob]:
        """Return these Jobs by their job, and begin to read their progress."""
        active = self._active()
        self._follow_progress(active)
        return active

    def check_is_due(self) -> bool:
        """Whether the store and the pods that hold nodes were last checked a while ago."""
        return seconds_since(self.memory.running.checked, self.now) >= self.progress_seconds

    def check_store(self) -> None:
        """Have the next pass report what is lost if the store was emptied."""
        readings = self.memory.running.progress.values()
        has_request = [reading.attempts.is_requested for reading in readings]
        if not (has_request and all(has_request)) and not self.memory.is_recorded():
            self.memory.invalidate()

    def list_running(self, active: Collection[ActiveJob]) -> None:
        """List the pods that hold nodes; those of waiting Jobs were listed with other searches'."""
        memory, jobs = self.memory, self.jobs.all()
        live = [jobs[job.name] for job in active if job.name in jobs]
        waiting = {job.name for job in active if isinstance(job.state, Waiting)}
        now, before = datetime.now(UTC), memory.gpu_time.listed
        if before is not None and (now - before).total_seconds() < self.progress_seconds / 2:
            return  # as after a start, when they are listed before the pass decides
        running = [job.name for job in active if job.name not in waiting]
        pods = self.jobs.api_errors.attempt(self.jobs.pods_of, *running)
        if pods is None:
            memory.running.checked = None  # the next pass tries again: does the error last?
            return
        for name in waiting & jobs.keys():
            pods += memory.running.pods.pods_of(jobs[name])
        memory.gpu_time.list_running(live, pods, now)

    def stalled(self, active: Mapping[JobId, ActiveJob]) -> Iterator[Reason]:
        """Yield a reason for each running job that makes no progress."""
        memory, jobs = self.memory, self.jobs.all()
        for job_id, job in active.items():
            since = memory.running.since.get(job.name)
            if since is None:
                continue
            reading = memory.running.progress.get(memory.session.job_folder(job_id))
            name = jobs[job.name].pods_owner_name if job.name in jobs else job.name
            if (reason := stalled_reason(name, reading, since)) is not None:
                yield reason

    def _active(self) -> Mapping[JobId, ActiveJob]:
        memory, namespace = self.memory, self.jobs.key.namespace
        live = {name: job for name, job in self.jobs.all().items() if not job.has_ended}
        now = datetime.now(UTC)
        suspended = [job for job in live.values() if job.suspended]
        workloads = self.lookups.workloads.look_up(namespace, suspended)
        states = job_states(live, memory.running.pods, workloads, now)
        # A suspended Job has no pods. What else waits has a reason that only its pods state.
        waiting = [live[name] for name, state in states.items() if isinstance(state, Waiting)]
        if waiting := [job for job in waiting if not job.suspended]:
            look_up = self.lookups.pods.look_up
            pods = self.jobs.api_errors.attempt(look_up, namespace, waiting)
            memory.running.pods = memory.running.pods if pods is None else pods
            states = job_states(live, memory.running.pods, workloads, now)
        else:
            memory.running.pods = ObservedPods()
        return {job_id_of(job): _active_job(name, job, states[name]) for name, job in live.items()}

    def _follow_progress(self, active: Mapping[JobId, ActiveJob]) -> None:
        """Have the progress of running jobs read, and take what was read so far."""
        memory, key = self.memory, self.jobs.key
        begun = [job_id for job_id, job in active.items() if _has_begun(job.state)]
        folders = [folder for job_id in begun if (folder := memory.session.job_folder(job_id))]
        self.lookups.progress.follow(key, memory.session.store, folders)
        memory.running.progress = self.lookups.progress.readings(key)
        names = [job.name for job in active.values() if isinstance(job.state, Running)]
        memory.running.since = {name: memory.running.since.get(name, self.now) for name in names}


def job_states(
    jobs: Mapping[str, JobView],
    pods: ObservedPods,
    workloads: Mapping[str, ObservedWorkload],
    now: datetime,
) -> dict[str, JobState]:
    """Return by name the state of each Job, and why it does not run if that was looked up.

    Args:
        jobs: by name.
        pods: of those that wait for pods.
        workloads: of those that are suspended, by the Job's UID.
        now: the time, with its zone.
    """
    return {
        name: job_state(
            job,
            pods.pods_of(job),
            now,
            pods.refusal(job),
            workloads.get(job.uid),
            pods.events,
        )
        for name, job in jobs.items()
    }


def _has_begun(state: JobState) -> bool:
    """An attempt that ended at once is seldom observed running; the next one waits for long."""
    retrying = isinstance(state, Waiting) and state.code is ReasonCode.RETRYING
    return retrying or isinstance(state, Running)


def _active_job(name: str, job: JobView, state: JobState) -> ActiveJob:
    started = job.started
    waiting_since = started or job.created
    return ActiveJob(
        name=name,
        state=state,
        started=started,
        waiting_since=waiting_since,
        suspended=job.suspended,
        kind=job.kind,
    )
