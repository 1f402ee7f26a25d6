"""When a search is reconciled again without an event about it or its Jobs."""

from datetime import datetime, timedelta

from detnas.reasons import ReasonCode
from detnas_operator.job_state.state import JobState, Running, Waiting
from detnas_operator.queue.schedule import Requeue
from detnas_operator.search_jobs.jobs import SearchJobs, is_expiring
from detnas_operator.status import not_running
from detnas_operator.status.pass_result import ActiveJob, PassResult

POOL_POLL_SECONDS = 5.0
LEASE_SECONDS = 10.0
"""The lease is renewed without passes; if it was lost, a pass stops the pool's Jobs this soon."""
WAITING_SECONDS = 10.0
MAX_WAITING_SECONDS = 40.0
_SHARE_OF_WAIT = 0.1
"""After a long wait the pauses are longer: after ten minutes of waiting, 40 s."""
SUSPENDED_SECONDS = 60.0
"""Kueue's reasons change seldom; that it admits a Job shows in the Job itself at once."""
STOPPING_SECONDS = 2.0
"""A pod whose trainer has ended holds its GPUs until it is deleted."""
DEGRADED_SECONDS = 10.0
MAX_DEGRADED_SECONDS = 60.0
"""A pass that fails for a lasting reason is repeated after 10 s, 20, 40 and then 60."""


def requeue(
    result: PassResult,
    failures: int,
    *,
    holds_pool: bool,
    progress_seconds: float,
    now: datetime,
) -> Requeue:
    """Return when the next pass is due; at the resync if that is soon enough.

    Args:
        result: of the pass that has just ended.
        failures: passes in a row that failed for a lasting reason.
        holds_pool: we hold the pool's lease.
        progress_seconds: how often the progress of running jobs is read.
        now: the time, with its zone.
    """
    if result.accepts_loss:
        return Requeue(0.0, urgent=True)
    if failures:
        pause = DEGRADED_SECONDS * 2.0 ** min(failures - 1, 9)
        return Requeue(min(MAX_DEGRADED_SECONDS, pause))
    if result.not_accepted is not None and result.not_accepted.code is ReasonCode.TOO_MANY_SEARCHES:
        return Requeue(WAITING_SECONDS)  # no event of another search enqueues this one
    if result.problems:
        return Requeue(DEGRADED_SECONDS, urgent=holds_pool)
    # Urgent: the pool may be lost to another search.
    lease = [LEASE_SECONDS] if holds_pool else []
    pauses = [*_pauses(result, progress_seconds, now), *lease]
    return Requeue(min(pauses, default=None), urgent=holds_pool)


def _pauses(result: PassResult, progress_seconds: float, now: datetime) -> list[float]:
    """Return the seconds after which whatever causes no event must be observed again."""
    states = [job.state for job in result.jobs.values() if not _is_reported_as_suspended(job, now)]
    pauses = [SUSPENDED_SECONDS] if len(states) < len(result.jobs) else []
    if result.pool_holder:
        pauses.append(POOL_POLL_SECONDS)
    if result.stopping:
        pauses.append(WAITING_SECONDS)
    if any(isinstance(state, Waiting) for state in states):
        pauses.append(_waiting_pause(result, now))
    if any(_is_stopping(state) for state in states):
        pauses.append(STOPPING_SECONDS)
    if any(isinstance(state, Running) for state in states):
        pauses.append(progress_seconds)
    return pauses


def _is_reported_as_suspended(job: ActiveJob, now: datetime) -> bool:
    """Whether a Job is suspended and the status reports it: any change shows in the Job itself."""
    reported = timedelta(seconds=not_running.PATIENCE_SECONDS)
    return job.suspended and (job.waiting_since is None or now - job.waiting_since > reported)


def _is_stopping(state: JobState) -> bool:
    return isinstance(state, Waiting) and state.code is ReasonCode.STOPPING


def _waiting_pause(result: PassResult, now: datetime) -> float:
    """Return the pause while Jobs wait; the one that has waited least decides."""
    jobs = result.jobs.values()
    since = [job.waiting_since for job in jobs if isinstance(job.state, Waiting)]
    waited = min(
        ((now - start).total_seconds() for start in since if start is not None), default=0.0
    )
    return min(MAX_WAITING_SECONDS, max(WAITING_SECONDS, _SHARE_OF_WAIT * waited))


def is_complete(result: PassResult, jobs: SearchJobs) -> bool:
    """Whether a search that is over needs no further pass while its resource does not change.

    What a pass needs of a search grows with its trials, and searches stay in a cluster long after
    their end. A pass depends on the resource, the Jobs and the store, and in the store a search
    that is over changes only by its Jobs. So while the resource has the same version, and no Job
    needs anything, a pass would find the same again. A new process makes one pass over each.

    Args:
        result: of a pass that wrote nothing.
        jobs: the search's Jobs in the cluster.
    """
    search = result.search
    over = search is not None and search.phase.is_over and not result.problems
    return over and all_expire(jobs)


def all_expire(jobs: SearchJobs) -> bool:
    """Whether each Job has ended, and Kubernetes will delete it."""
    return all(is_expiring(job) for job in jobs.all().values())
