"""Records the infrastructure failure of a job whose Job ended, or must end, without a result."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from detnas.lifecycle.session import SearchSession
from detnas.plan.stages import JobId
from detnas.records.results import Result
from detnas_operator.cluster.objects import JobView
from detnas_operator.cluster.pods import PodView
from detnas_operator.configuration.settings import Tenant
from detnas_operator.job_state.derive import job_state
from detnas_operator.job_state.ended_pods import own_pods
from detnas_operator.job_state.failures import LAST_LINE
from detnas_operator.job_state.pods import job_is_kept_alive
from detnas_operator.job_state.state import Failed, Succeeded
from detnas_operator.search_jobs.attempt_logs import AttemptLogs
from detnas_operator.search_jobs.gpu_time import job_seconds
from detnas_operator.search_jobs.jobs import SearchJobs

log = logging.getLogger(__name__)

_MAX_LINE_CHARACTERS = 300
_KEYS = re.compile(r"\bAWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN)\b")


@dataclass(frozen=True, slots=True)
class FailureRecorder:
    """Ends jobs whose Job has ended without a result, or would never end.

    Attributes:
        session: of the search.
        jobs: its Jobs in the cluster.
        tenant: with which its Jobs run.
    """

    session: SearchSession
    jobs: SearchJobs
    tenant: Tenant

    def record(self, job: JobView, job_id: JobId, overdue: str | None = None) -> Result:
        """Write the result that the job itself did not write, unless it did in the meantime.

        Args:
            job: its Job, which is over or must end.
            job_id: which job it runs.
            overdue: a message if it exceeded its deadline; None if not.
        """
        name = job.name
        own = own_pods(job, self.jobs.pods_of(name))
        folder = self.session.job_folder(job_id)
        logs = AttemptLogs(self.session.store, self.jobs.log_end)
        logs.store_missing(folder, own)
        log_end = logs.store_last(folder, own)
        message = self.session.rejected.get(folder) or overdue or _message(job, own)
        message = failure_message(message, log_end, self.tenant, self.jobs.key.namespace)
        now = datetime.now(UTC)
        held = job_seconds(job, own, now) / job.parallelism
        started = now - timedelta(seconds=held)
        result = self.session.fail(job_id, message, started, held)
        if not job.has_ended:  # last: without a result and a Job it would be due again
            self.jobs.delete(name, message)
        log.warning("%s ended without a result: %s", name, message)
        return result


def _message(job: JobView, pods: list[PodView]) -> str:
    state = job_state(job, pods, datetime.now(UTC))
    if isinstance(state, Failed):
        return state.message
    no_result = "wrote no result; look at its log and at whether it may write to the store"
    if isinstance(state, Succeeded):
        return f"{job.title} is complete, but {no_result}"
    if job_is_kept_alive(job, pods, trainer_succeeded=True):
        return f"the trainer of {job.title} ended with exit 0, but {no_result}"
    return (
        f"{job.title} asked to be resumed more often than spec.limits.resumptions allows; raise it "
        "if the job is to continue"
    )


def failure_message(message: str, log_end: Sequence[str], tenant: Tenant, namespace: str) -> str:
    """Return why a job failed, with the source of its S3 keys if the cause concerns them.

    Args:
        message: by its Job and its pods.
        log_end: the last lines of its log; one that the message contains is left out.
        tenant: with which it ran.
        namespace: of the search.
    """
    last = message.partition(LAST_LINE)[2].removesuffix("…")  # without the time of the log's line
    lines = [
        line[:_MAX_LINE_CHARACTERS]
        for line in log_end
        if not last or last not in " ".join(line.split())
    ]
    if any(map(_KEYS.search, (message, *lines))):
        message = f"{message}; {_source_of_keys(tenant, namespace)}"
    if not lines:
        return message
    before = "" if len(lines) == len(log_end) else ", before that"
    return f"{message}; the end of its log{before}:\n" + "\n".join(lines)


def _source_of_keys(tenant: Tenant, namespace: str) -> str:
    """A log names only variables; to correct them a person must know the object."""
    if tenant.credentials_secret:
        return f"the keys are in Secret {tenant.credentials_secret} of namespace {namespace}"
    account = tenant.service_account
    return f"the keys come with service account {account} of namespace {namespace}"
