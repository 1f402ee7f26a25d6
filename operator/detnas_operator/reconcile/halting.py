"""Stops the Jobs of a search that must not run, whatever else can not be had of it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from detnas.errors import UserError
from detnas_operator.job_state.accounting import pod_seconds
from detnas_operator.job_state.ended_pods import own_pods
from detnas_operator.reconcile.api_errors import ApiErrors
from detnas_operator.reconcile.search_jobs import SearchJobs
from detnas_operator.reconcile.stopped_jobs import StoppedJobs

Object = dict[str, Any]


@dataclass
class JobStopper:
    """Stops Jobs where a pass could not: its store is away, a record damaged, the search refused.

    Attributes:
        jobs: the search's Jobs in the cluster.
        stopped: where their time is kept, if that can be; none where the store is not known.
        undone: what the API server does not do.
    """

    jobs: SearchJobs
    stopped: StoppedJobs | None
    undone: ApiErrors

    def stop(self, why: str) -> None:
        """Delete the Jobs that may be running.

        Their GPU time is kept as far as it can be: a pod that burns on would cost more than what
        is not counted.
        """
        for name, job in self.jobs.live().items():
            with self.undone:
                self._keep_time(name, job)
                self.jobs.delete(name, why)

    def _keep_time(self, name: str, job: Object) -> None:
        if self.stopped is None:
            return
        try:
            pods = own_pods(job, self.jobs.pods_of(name))
            self.stopped.record(job, pod_seconds(pods, datetime.now(UTC)))
        except (UserError, LookupError, ValueError):  # whatever kept the pass from going on, too
            self.stopped = None  # a store that is away lets everyone wait, for each Job anew
