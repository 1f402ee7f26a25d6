"""When a search is looked at again, though nothing happened to it or to its Jobs."""

from datetime import datetime, timedelta

from detnas.reasons import ReasonCode
from detnas_operator.job_state.state import JobState, Running, Waiting
from detnas_operator.queue.schedule import Requeue
from detnas_operator.status.pass_result import ActiveJob, PassResult
from detnas_operator.status.waiting import PATIENCE_SECONDS

POOL_POLL_SECONDS = 5.0
HEARTBEAT_SECONDS = 10.0
WAITING_SECONDS = 10.0
LONGEST_WAITING_SECONDS = 40.0
_SHARE_OF_WAIT = 0.1
"""What has waited for long is looked at less often: ten minutes of waiting, one look in 40 s."""
SUSPENDED_SECONDS = 60.0
"""Kueue's reasons change now and then; that it admits a Job shows in the Job itself at once."""
STOPPING_SECONDS = 2.0
"""A pod whose trainer has ended holds its GPUs until it is told to end."""
TROUBLE_SECONDS = 10.0
LONGEST_TROUBLE_SECONDS = 60.0
"""A pass that fails for a lasting reason is made again after 10 s, 20, 40 and then 60."""


def requeue(
    findings: PassResult,
    failures: int,
    *,
    holds_pool: bool,
    progress_seconds: float,
    now: datetime,
) -> Requeue:
    """Return after how many seconds to look again; at the resync where that will do.

    Args:
        findings: of the pass that has just ended.
        failures: passes in a row that failed for a lasting reason.
        holds_pool: our claim to the pool is to be kept up.
        progress_seconds: how often the progress of running Jobs is read.
        now: the time, with its zone.
    """
    if findings.accepts_loss:
        return Requeue(0.0, urgent=True)
    if failures:
        pause = TROUBLE_SECONDS * 2.0 ** min(failures - 1, 9)
        return Requeue(min(LONGEST_TROUBLE_SECONDS, pause))
    refused = findings.not_accepted
    if refused is not None and refused.reason is ReasonCode.TOO_MANY_SEARCHES:
        return Requeue(WAITING_SECONDS)  # what another search does wakes nobody but itself
    if findings.problems:
        return Requeue(TROUBLE_SECONDS, urgent=holds_pool)
    # However many searches wait to be looked at: one whose heartbeat stands still loses its pool.
    claim = [HEARTBEAT_SECONDS] if holds_pool else []
    wishes = [*_wishes(findings, progress_seconds, now), *claim]
    return Requeue(min(wishes, default=None), urgent=holds_pool)


def _wishes(findings: PassResult, progress_seconds: float, now: datetime) -> list[float]:
    """Return after how many seconds each thing that does not come as an event asks for a look."""
    states = [job.state for job in findings.jobs.values() if not _is_left_alone(job, now)]
    wishes = [SUSPENDED_SECONDS] if len(states) < len(findings.jobs) else []
    if findings.pool_holder:
        wishes.append(POOL_POLL_SECONDS)
    if findings.stopping:
        wishes.append(WAITING_SECONDS)
    if any(isinstance(state, Waiting) for state in states):
        wishes.append(_waiting_pause(findings, now))
    if any(_is_stopping(state) for state in states):
        wishes.append(STOPPING_SECONDS)
    if any(isinstance(state, Running) for state in states):
        wishes.append(progress_seconds)
    return wishes


def _is_left_alone(job: ActiveJob, now: datetime) -> bool:
    """Whether a Job is suspended, and that is in the status: its own object tells the rest."""
    told = timedelta(seconds=PATIENCE_SECONDS)
    return job.suspended and (job.waiting_since is None or now - job.waiting_since > told)


def _is_stopping(state: JobState) -> bool:
    return isinstance(state, Waiting) and state.reason is ReasonCode.STOPPING


def _waiting_pause(findings: PassResult, now: datetime) -> float:
    """Seconds until waiting Jobs are looked at again; the one that waits shortest decides."""
    jobs = findings.jobs.values()
    since = [job.waiting_since for job in jobs if isinstance(job.state, Waiting)]
    waited = min(((now - one).total_seconds() for one in since if one is not None), default=0.0)
    return min(LONGEST_WAITING_SECONDS, max(WAITING_SECONDS, _SHARE_OF_WAIT * waited))
