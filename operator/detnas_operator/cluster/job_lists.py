"""Lists of both kinds that a search's Jobs have: Jobs, and JobSets where they are served."""

from dataclasses import dataclass

from detnas_operator.cluster.client import KubernetesClient, Snapshot
from detnas_operator.cluster.slimming import slim_own_job

KINDS_OF_JOBS = ("jobs", "jobsets")
NOT_SERVED = "the API server does not serve jobsets.jobset.x-k8s.io"


@dataclass(frozen=True, slots=True)
class JobLists:
    """Jobs and JobSets of a namespace.

    Attributes:
        jobs: the Jobs.
        jobsets: the JobSets; None if the API server does not serve them.
    """

    jobs: Snapshot
    jobsets: Snapshot | None

    @property
    def together(self) -> Snapshot:
        """Both, as they were at the earlier of the two moments."""
        if self.jobsets is None:
            return self.jobs
        moments = (self.jobs.resource_version, self.jobsets.resource_version)
        earlier = min(moments, key=lambda version: int(version or 0))
        return Snapshot((*self.jobs.items, *self.jobsets.items), earlier)

    @property
    def versions(self) -> dict[str, str]:
        """The moments of the lists, by kind."""
        listed = {"jobs": self.jobs, "jobsets": self.jobsets}
        return {kind: one.resource_version for kind, one in listed.items() if one is not None}


def list_jobs(client: KubernetesClient, scope: str | None, *, jobsets: bool) -> JobLists:
    """List what searches own in a namespace (None: in all).

    All Jobs are read: others may rewrite the labels by which ours could be selected.

    Args:
        client: of the API server.
        scope: the namespace.
        jobsets: list JobSets, too.

    Raises:
        NotFound: JobSets are not served.
        Refused: they, or Jobs, must not be listed.
    """
    sets = client.snapshot("jobsets", scope, slim=slim_own_job) if jobsets else None
    return JobLists(client.snapshot("jobs", scope, slim=slim_own_job), sets)
