"""A Job that ended without a result: its log is kept, and the job's result says what happened."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from detnas.lifecycle.giving_up import give_up
from detnas.plan.stages import DueJob
from detnas.records.results import Result
from detnas.store import Store
from detnas_operator.configuration.settings import Tenant
from detnas_operator.job_state.accounting import pod_seconds
from detnas_operator.job_state.ended_pods import has_done_its_work, own_pods
from detnas_operator.job_state.state import Failed, Succeeded, job_state
from detnas_operator.lookups.lost_logs import LostLogs
from detnas_operator.reconcile.failure_message import in_full
from detnas_operator.reconcile.search_jobs import SearchJobs, has_ended

Object = dict[str, Any]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FailureRecorder:
    """Ends jobs whose Job is over, or goes on for ever, and whose result is missing.

    Attributes:
        store: where the search lies.
        jobs: its Jobs in the cluster.
        rejected: what was wrong with results that were not believed, by folder.
        tenant: as whom its Jobs run.
    """

    store: Store
    jobs: SearchJobs
    rejected: Mapping[str, str]
    tenant: Tenant

    def settle(self, job: Object, due: DueJob, folder: str, overran: str | None = None) -> Result:
        """Write the result that the job itself did not write, unless it did in the meantime.

        Args:
            job: its Job, which is over or must end.
            due: what it was for.
            folder: key of its folder.
            overran: that it must end for the time it took; none where it is for another reason.
        """
        name = job["metadata"]["name"]
        own = own_pods(job, self.jobs.pods_of(name))
        logs = LostLogs(self.store, self.jobs.log_end)
        logs.keep(folder, own)
        end = logs.keep_last(folder, own)
        message = self.rejected.get(folder) or overran or _message(job, own)
        message = in_full(message, end, self.tenant, self.jobs.key.namespace)
        now = datetime.now(UTC)
        lost = pod_seconds(own, now) / (job["spec"].get("parallelism") or 1)
        started = now - timedelta(seconds=lost)
        result = give_up(self.store, due.verb, folder, message, started, lost)
        if not has_ended(job):  # last: without a result and a Job it would be due once more
            self.jobs.delete(name, message)
        log.warning("%s ended without a result: %s", name, message)
        return result


def _message(job: Object, pods: list[Object]) -> str:
    state, name = job_state(job, pods, datetime.now(UTC)), job["metadata"]["name"]
    if isinstance(state, Failed):
        return state.message
    no_result = "wrote no result; look at its log and at whether it may write to the store"
    if isinstance(state, Succeeded):
        return f"Job {name} is complete, but {no_result}"
    if has_done_its_work(job, pods, well=True):
        return f"the trainer of Job {name} ended with exit 0, but {no_result}"
    return (
        f"Job {name} asked to be resumed more often than spec.limits.resumptions allows; raise it "
        "if the job is to continue"
    )
