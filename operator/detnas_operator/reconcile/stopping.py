"""Stops Jobs, and keeps their GPU time and logs."""

from dataclasses import dataclass
from datetime import UTC, datetime

from detnas.errors import UserError
from detnas_operator.cluster.objects import JobView
from detnas_operator.job_state.ended_pods import own_pods
from detnas_operator.job_state.pods import pods_to_end
from detnas_operator.reconcile.memory import SearchMemory
from detnas_operator.search_jobs.attempt_logs import AttemptLogs
from detnas_operator.search_jobs.gpu_time import GpuTime, job_seconds
from detnas_operator.search_jobs.jobs import SearchJobs, about_job, job_id_of


@dataclass(frozen=True, slots=True)
class JobStopper:
    """Stops single Jobs and pods of a search.

    Attributes:
        memory: of the search.
        jobs: its Jobs in the cluster.
    """

    memory: SearchMemory
    jobs: SearchJobs

    def stop(self, name: str, why: str) -> None:
        """Delete a Job that may be running, if possible; its GPU time is recorded first."""
        self.jobs.api_errors.attempt(self._stop, name, why)

    def _stop(self, name: str, why: str) -> None:
        if job := self.jobs.all().get(name):
            self.jobs.api_errors.attempt(self.store_attempt_logs, name)
            now = datetime.now(UTC)
            self.memory.gpu_time.record_stop(job, self._spent(job, now), now)
        self.jobs.delete(name, why)

    def end_pods(self, name: str) -> None:
        """Delete pods whose trainer has failed: only then does the Job controller count them."""
        job = self.jobs.all()[name]
        pods = pods_to_end(job, self.jobs.pods_of(name))
        if not pods:  # what was observed of them is some seconds old
            return
        with about_job(job):
            folder = self.memory.session.job_folder(job_id_of(job))
            self._logs.store_missing(folder, pods)
            self._logs.store_last(folder, pods)
            self.jobs.end_pods(name, pods)

    def store_attempt_logs(self, name: str) -> None:
        """Store the logs of a Job's failed pods before they are deleted."""
        job = self.jobs.all().get(name)
        # A JobSet counts no pods: whether one has failed is only known of its Job.
        if job is None or not (job.failed_pods or job.plural == "jobsets"):
            return
        job_id = job_id_of(job)
        folder = self.memory.session.job_folder(job_id)
        if folder and self.memory.job_name(job_id) == name:
            pods = own_pods(job, self.jobs.pods_of(name))
            with about_job(job):
                self._logs.store_missing(folder, pods)

    def _spent(self, job: JobView, now: datetime) -> float:
        """Return the seconds of a Job's pods; if they cannot be listed, as last observed."""
        pods = self.jobs.api_errors.attempt(self.jobs.pods_of, job.name)
        if pods is None:
            return self.memory.gpu_time.running_seconds(job, now)
        return job_seconds(job, own_pods(job, pods), now)

    @property
    def _logs(self) -> AttemptLogs:
        return AttemptLogs(self.memory.session.store, self.jobs.log_end)


def stop_jobs(jobs: SearchJobs, gpu_time: GpuTime | None, why: str) -> None:
    """Delete the Jobs that may be running, although no pass was possible.

    The store is unreachable, a record is damaged, or the search is refused. Their GPU time is
    recorded if possible: a pod that keeps running would cost more than time that is not counted.

    Args:
        jobs: the search's Jobs in the cluster.
        gpu_time: where their time is recorded; None if the store is not known.
        why: for the log.
    """
    for name, job in jobs.live().items():
        try:
            if gpu_time is not None:
                now = datetime.now(UTC)
                pods = own_pods(job, jobs.pods_of(name))
                gpu_time.record_stop(job, job_seconds(job, pods, now), now)
        except (UserError, LookupError, ValueError):  # which prevented the pass, too
            gpu_time = None  # an unreachable store would delay each Job
        jobs.api_errors.attempt(jobs.delete, name, why)
