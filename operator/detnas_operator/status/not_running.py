"""Why a search does not run: blocked, waiting or degraded, one sentence per reason.

The text stays the same while nothing changes.
"""

import re
from collections.abc import Collection, Iterator
from datetime import datetime

from detnas.lifecycle.status import SearchStatus
from detnas.plan.stages import JobId, Phase
from detnas.reasons import Category, Reason, ReasonCode
from detnas.records.verbs import Verb
from detnas.resource.cut import cut
from detnas.resource.transitions import APPLIED_AGAIN
from detnas_operator.job.jobset import WORKERS
from detnas_operator.job_state.state import Running, Waiting
from detnas_operator.status.pass_result import ActiveJob, PassResult

SUSPENSION = Reason.static(ReasonCode.SUSPENDED_BY_USER)
_RETRY = "once the cause is fixed, set spec.suspend to true and then to false to try again"
_FIX_SPEC = f"a mistake in spec is corrected {APPLIED_AGAIN}"
_NOT_TUNED = "the fine-tuning failed, and the best trial's student is exported as it was"
_NO_BASELINE = "a baseline failed, and the student is not compared with it"
_MAX_PROBLEM_BYTES = 800
"""Bytes: what to do must still fit into the message."""
PATIENCE_SECONDS = 30.0
"""A job may wait this long for a place that another has just left before that is reported."""

_SHORT_LIVED = frozenset(
    {
        ReasonCode.QUEUED,
        ReasonCode.QUOTA_EXCEEDED,
        ReasonCode.UNSCHEDULABLE,
        ReasonCode.RETRYING,
    }
)
_VERBS = tuple(Verb)


def blocked_by(result: PassResult) -> Reason | None:
    """Return why no job may run: not accepted, failed, suspended or blocked; None if one may."""
    if result.not_accepted is not None:
        return result.not_accepted
    phase = result.search.phase if result.search else None
    if result.search is not None and phase is Phase.FAILED:
        return _failed(result.search)
    if phase is Phase.SUCCEEDED:
        return None
    return SUSPENSION if result.suspended else result.blocked


def not_running_reason(
    result: PassResult, now: datetime, verbs: Collection[Verb] = _VERBS
) -> Reason | None:
    """Return why no job with these verbs runs; None if one runs, or none has to wait."""
    if blocked := blocked_by(result):
        return blocked
    jobs = (job for job_id, job in result.jobs.items() if job_id.verb in verbs)
    if any(isinstance(job.state, Running) for job in jobs):
        return None
    if reasons := (*distinct_problems(result), *waiting_reasons(result, now, verbs)):
        return max(reasons, key=_severity)
    training = result.search is not None and result.search.phase is Phase.TRAINING
    if result.pool_holder and Verb.POOL in verbs and training:
        return Reason.static(ReasonCode.WAITING_FOR_POOL, holder=result.pool_holder)
    return None


def degraded_reasons(result: PassResult, now: datetime) -> list[Reason]:
    """Return all that needs somebody's attention, the most severe first."""
    blocked = blocked_by(result)
    reasons = list(distinct_problems(result))
    if blocked is None:
        reasons += (wait for wait in waiting_reasons(result, now) if wait.code.needs_attention)
    if result.search is not None:
        reasons += _lost_trainings(result.search)
    reasons.sort(key=_severity, reverse=True)
    return reasons if blocked is None or blocked is SUSPENSION else [blocked, *reasons]


def distinct_problems(result: PassResult) -> tuple[Reason, ...]:
    """Return what kept the pass from continuing, one sentence per reason, the most severe first."""
    by_reason: dict[ReasonCode, list[str]] = {}
    for problem in result.problems:
        by_reason.setdefault(problem.code, []).append(problem.message)
    reasons = (
        Reason(reason, min(messages) + (f" ({len(messages)} times)" if messages[1:] else ""))
        for reason, messages in by_reason.items()
    )
    return tuple(sorted(reasons, key=_severity, reverse=True))


def waiting_reasons(
    result: PassResult, now: datetime, verbs: Collection[Verb] = _VERBS
) -> tuple[Reason, ...]:
    """Return what jobs with these verbs wait for, one sentence per reason.

    A job that is starting does not wait; one that may soon find a place waits only after
    `PATIENCE_SECONDS`.
    """
    by_reason: dict[ReasonCode, list[tuple[str, str]]] = {}
    for job_id in sorted(result.jobs, key=in_order):
        job = result.jobs[job_id]
        if job_id.verb in verbs and isinstance(job.state, Waiting) and _is_reported(job, now):
            message = _without_pod_names(job.state.message, job.name)
            title = f"{job.kind} {job.name}"
            by_reason.setdefault(job.state.code, []).append((title, message))
    return tuple(_sentence(reason, jobs) for reason, jobs in by_reason.items())


def in_order(job_id: JobId) -> tuple[int, int]:
    """Sort key for jobs in the order in which a search runs them."""
    return _VERBS.index(job_id.verb), job_id.number


def _is_reported(job: ActiveJob, now: datetime) -> bool:
    state = job.state
    if not isinstance(state, Waiting) or state.code.category is Category.INTERNAL:
        return False
    if state.code not in _SHORT_LIVED or job.waiting_since is None:
        return True
    return (now - job.waiting_since).total_seconds() >= PATIENCE_SECONDS


def _sentence(reason: ReasonCode, jobs: list[tuple[str, str]]) -> Reason:
    title, message = jobs[0]
    who = f"{title} waits" if len(jobs) == 1 else f"{len(jobs)} Jobs wait"
    return Reason(reason, f"{who}: {message}")


def _without_pod_names(message: str, job: str) -> str:
    """Every attempt's pod has another name; the job's name is enough, and stays the same."""
    return re.sub(rf"\b{re.escape(job)}(-{WORKERS}-0)?(-\d+)?-[a-z0-9]{{5}}\b", job, message)


def _failed(search: SearchStatus) -> Reason:
    if search.ended_because and search.best is None:  # no trial succeeded: it states what to do
        return Reason(ReasonCode.FAILED, search.problem)
    advice = [] if "in a new search (" in search.problem else [_FIX_SPEC]
    return Reason(ReasonCode.FAILED, "; ".join([_shortened(search.problem), *advice, _RETRY]))


def _shortened(problem: str) -> str:
    """Cut a problem so that advice still fits into the message."""
    return cut(problem, _MAX_PROBLEM_BYTES)


def _lost_trainings(search: SearchStatus) -> Iterator[Reason]:
    """Yield which trainings after the trials were lost; the search continues without them."""
    lost = (
        (ReasonCode.FINE_TUNING_FAILED, search.finetune_problem, _NOT_TUNED),
        (ReasonCode.BASELINE_FAILED, search.baseline_problem, _NO_BASELINE),
    )
    for code, problem, message in lost:
        if problem:
            yield Reason(code, f"{message}: {_shortened(problem)}; {_RETRY}")


def _severity(reason: Reason) -> int:
    return reason.code.severity
