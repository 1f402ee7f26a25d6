"""The Jobs of JobSets, as last observed."""

from detnas_operator.cluster.jobsets import jobset_of, with_child
from detnas_operator.cluster.objects import JobView
from detnas_operator.cluster.searches import SearchKey


class ChildJobs:
    """Jobs of JobSets by the UID of their JobSet, in whatever order both are observed.

    Used under the cache's lock.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, JobView] = {}
        self._searches: dict[str, SearchKey] = {}

    def get(self, job: JobView) -> JobView | None:
        """Return the Job that is known of the same JobSet; None if there is none."""
        return self._jobs.get(jobset_of(job))

    def put(self, job: JobView) -> None:
        """Store the Job of a JobSet."""
        self._jobs[jobset_of(job)] = job

    def drop(self, job: JobView) -> None:
        """Forget the Job of a JobSet."""
        known = self.get(job)
        if known is not None and known.uid == job.uid:
            del self._jobs[jobset_of(job)]

    def within(self, namespace: str | None) -> list[JobView]:
        """Return those of a namespace (None: all)."""
        return [job for job in self._jobs.values() if namespace in (None, job.namespace)]

    def note_jobset(self, jobset: JobView, key: SearchKey) -> None:
        """Note which search a JobSet belongs to."""
        self._searches[jobset.uid] = key

    def forget_jobset(self, jobset: JobView) -> None:
        """Forget a JobSet that is gone; its Job goes by its own event."""
        self._searches.pop(jobset.uid, None)

    def search_of(self, job: JobView) -> SearchKey | None:
        """Return which search the Job of a JobSet belongs to; None before that is known."""
        return self._searches.get(jobset_of(job))

    def completed(self, job: JobView) -> JobView:
        """Return a Job, or a JobSet with what its Job adds."""
        child = self._jobs.get(job.uid)
        return job if child is None or job.plural != "jobsets" else with_child(job, child)
