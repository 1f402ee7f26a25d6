"""Stops Jobs and keeps their GPU time and logs; reports pods that do not stop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from detnas.errors import UserError
from detnas.reasons import Reason, ReasonCode
from detnas_operator.cluster.objects import JobView, SearchKey
from detnas_operator.cluster.pods import PodView
from detnas_operator.job_state.ended_pods import own_pods
from detnas_operator.job_state.pods import pods_to_end
from detnas_operator.reconcile.attempt_logs import AttemptLogs
from detnas_operator.reconcile.gpu_time import GpuTime, pod_seconds
from detnas_operator.reconcile.memory import SearchMemory
from detnas_operator.reconcile.pass_errors import ApiErrors
from detnas_operator.reconcile.search_jobs import (
    SearchJobs,
    about_job,
    job_id_of,
)

SUSPENSION_PATIENCE = timedelta(seconds=60)
"""For a suspended search's pods to receive their deletion; their grace period is added."""
DELETION_PATIENCE = timedelta(minutes=5)
"""For a deleted search's pods to stop before it is reported that they do not."""


@dataclass(frozen=True, slots=True)
class JobStopper:
    """Stops single Jobs and pods of a search.

    Attributes:
        memory: of the search.
        jobs: its Jobs in the cluster.
        api_errors: takes what the API server does not do.
    """

    memory: SearchMemory
    jobs: SearchJobs
    api_errors: ApiErrors

    def stop(self, name: str, why: str) -> None:
        """Delete a Job that may be running; its GPU time is recorded first."""
        with self.api_errors:
            if job := self.jobs.all().get(name):
                with self.api_errors:
                    self.store_attempt_logs(name)
                now = datetime.now(UTC)
                self.memory.gpu_time.record_stop(job, self._spent(job, now), now)
            self.jobs.delete(name, why)

    def end_pods(self, name: str) -> None:
        """Delete pods whose trainer has failed: only then does the Job controller count them."""
        job = self.jobs.all()[name]
        found = pods_to_end(job, self.jobs.pods_of(name))
        if not found:  # what was observed of them is some seconds old
            return
        with about_job(job):
            folder = self.memory.session.job_folder(job_id_of(job))
            self._logs.store_missing(folder, found)
            self._logs.store_last(folder, found)
            self.jobs.end_pods(name, found)

    def store_attempt_logs(self, name: str) -> None:
        """Store the logs of a Job's failed pods before they are deleted."""
        job = self.jobs.all().get(name)
        if job is None or not job.failed_pods:
            return
        job_id = job_id_of(job)
        folder = self.memory.session.job_folder(job_id)
        if folder and self.memory.job_name(job_id) == name:
            pods = own_pods(job, self.jobs.pods_of(name))
            with about_job(job):
                self._logs.store_missing(folder, pods)

    def _spent(self, job: JobView, now: datetime) -> float:
        """Return the seconds of a Job's pods; if they cannot be listed, as last observed."""
        with self.api_errors:
            pods = own_pods(job, self.jobs.pods_of(job.name))
            return pod_seconds(pods, now)
        return self.memory.gpu_time.running_seconds(job, now)

    @property
    def _logs(self) -> AttemptLogs:
        return AttemptLogs(self.memory.session.store, self.jobs.log_end)


def stop_jobs(jobs: SearchJobs, gpu_time: GpuTime | None, why: str, api_errors: ApiErrors) -> None:
    """Delete the Jobs that may be running, although no pass was possible.

    The store is unreachable, a record is damaged, or the search is refused. Their GPU time is
    recorded if possible: a pod that keeps running would cost more than time that is not counted.

    Args:
        jobs: the search's Jobs in the cluster.
        gpu_time: where their time is recorded; None if the store is not known.
        why: for the log.
        api_errors: takes what the API server does not do.
    """
    for name, job in jobs.live().items():
        with api_errors:
            try:
                if gpu_time is not None:
                    now = datetime.now(UTC)
                    own = own_pods(job, jobs.pods_of(name))
                    gpu_time.record_stop(job, pod_seconds(own, now), now)
            except (UserError, LookupError, ValueError):  # which prevented the pass, too
                gpu_time = None  # an unreachable store would delay each Job
            jobs.delete(name, why)


@dataclass
class SuspendedPods:
    """Whether suspended searches still have pods, which are listed until none is left.

    Attributes:
        stopped: searches of which none was left when they were last listed.
    """

    stopped: set[SearchKey] = field(default_factory=set)

    def observe(
        self, jobs: SearchJobs, since: datetime, now: datetime
    ) -> tuple[bool, Reason | None]:
        """Return whether a suspended search still has a pod, and why it does not stop."""
        left = {name: job for name, job in jobs.all().items() if not job.has_ended}
        if not left and jobs.key in self.stopped:
            return False, None
        alive = jobs.live_pods()
        if left or alive:
            self.stopped.discard(jobs.key)
        else:
            self.stopped.add(jobs.key)
        return bool(alive), suspended_but_running(left, alive, since, now)

    def forget(self, key: SearchKey) -> None:
        """Drop a search that runs again or no longer exists."""
        self.stopped.discard(key)


def suspended_but_running(
    left: Mapping[str, JobView], alive: Sequence[PodView], since: datetime, now: datetime
) -> Reason | None:
    """Return which pods of a suspended search keep running; None while they may still stop.

    Args:
        left: Jobs that have not ended, by name; those that are deleted have a finalizer.
        alive: pods that have not ended.
        since: when the search was suspended.
        now: the time.
    """
    held = sorted(name for name, job in left.items() if job.foreign_finalizers)
    late = alive if held else _late(alive, since + SUSPENSION_PATIENCE, now)
    if not late:
        return None
    pod = min(late, key=lambda one: one.name)
    if held:
        why = f"job {held[0]} is deleted, but {left[held[0]].deletion_wait}"
    elif pod.foreign_finalizers:
        why = f"pod {pod.name}: {pod.deletion_wait}"
    else:
        why = _force(pod)
    named = _named(pod, len(late))
    return Reason(
        ReasonCode.PODS_STOPPING, f"the search is suspended, but {named} has not stopped; {why}"
    )


def deleted_but_running(
    alive: Sequence[PodView], deleted: datetime, now: datetime
) -> Reason | None:
    """Return which pods delay the deletion of a search for too long; None if none does.

    Args:
        alive: pods of the search that have not ended.
        deleted: when the search was deleted.
        now: the time; a pod whose grace period is not over is not late.
    """
    late = sorted(_late(alive, deleted, now), key=lambda one: one.name)
    if not late or now < deleted + DELETION_PATIENCE:
        return None
    pod = late[0]
    return Reason(
        ReasonCode.PODS_STOPPING,
        f"the search is deleted, and its data is deleted once its pods have stopped, but "
        f"{_named(pod, len(late))} has not since {_due(pod, deleted):%H:%M:%S} UTC; "
        f"{_force(pod)}: a pod that still runs would continue to write",
    )


def _late(alive: Sequence[PodView], told: datetime, now: datetime) -> list[PodView]:
    return [pod for pod in alive if _due(pod, told) <= now]


def _due(pod: PodView, told: datetime) -> datetime:
    """When a pod should have stopped, including its grace period once it is being deleted."""
    return max(told, pod.deleted or told)


def _named(pod: PodView, count: int) -> str:
    others = f", like {count - 1} more," if count > 1 else ""
    return f"pod {pod.name} on node {pod.node or '(none)'}{others}"


def _force(pod: PodView) -> str:
    return (
        "if the node has been removed for good, delete it, or "
        f"`kubectl delete pod {pod.name} --force`"
    )
