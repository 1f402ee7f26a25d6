"""Why nothing happens, or less than should: in words that stay the same while nothing changes."""

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from detnas.lifecycle.status import SearchStatus
from detnas.plan.stages import DueJob, Phase, Verb
from detnas.reasons import Category, Reason, ReasonCode
from detnas.resource.cut import cut
from detnas.resource.transitions import APPLIED_AGAIN
from detnas_operator.job_state.states import Running, Waiting
from detnas_operator.status.findings import ActiveJob, PassResult

PATIENCE_SECONDS = 30.0
"""A job may wait this long for a place that another has just left before anyone is told."""

SUSPENDED = Reason.static(ReasonCode.SUSPENDED_BY_USER)
_TRY_AGAIN = "once the cause is mended, set spec.suspend to true and then to false to try again"
_IF_FIXED = f"a mistake in spec is corrected {APPLIED_AGAIN}"
_LONGEST_PROBLEM = 800
"""Bytes: what to do must still fit into the message."""

_MAY_PASS = frozenset(
    {
        ReasonCode.QUEUED,
        ReasonCode.QUOTA_EXCEEDED,
        ReasonCode.UNSCHEDULABLE,
        ReasonCode.RETRYING,
    }
)
_VERBS = tuple(Verb)


def standstill(findings: PassResult) -> Reason | None:
    """Return why nothing is to run at all: refused, failed, suspended, or halted."""
    search = findings.search
    if findings.refused is not None:
        return findings.refused
    if search is not None and search.phase is Phase.FAILED:
        return _failed(search)
    if search is not None and search.phase is Phase.SUCCEEDED:
        return None
    if findings.suspended:
        return SUSPENDED
    return findings.halted


def _failed(search: SearchStatus) -> Reason:
    if search.ended_because and search.best is None:  # no trial succeeded: it says what to do
        return Reason(ReasonCode.FAILED, search.problem)
    problem = cut(search.problem, _LONGEST_PROBLEM)
    is_told = "in a new search (" in problem
    return Reason(
        ReasonCode.FAILED, "; ".join((problem, *([] if is_told else [_IF_FIXED]), _TRY_AGAIN))
    )


def _untuned(problem: str) -> Reason:
    why = cut(problem, _LONGEST_PROBLEM)
    said = "the fine-tuning failed, and the best trial's student is taken as it was"
    return Reason(ReasonCode.FINE_TUNING_FAILED, f"{said}: {why}; {_TRY_AGAIN}")


def waits(
    findings: PassResult, now: datetime, verbs: Collection[Verb] = _VERBS
) -> tuple[Reason, ...]:
    """Return what jobs with these verbs wait for, one sentence per reason.

    A job that starts is no wait; one that may find a place in a moment becomes one only after
    `PATIENCE_SECONDS`.
    """
    by_reason: dict[ReasonCode, list[tuple[str, str]]] = {}
    for due in sorted(findings.jobs, key=_in_order):
        job = findings.jobs[due]
        state = job.state
        if due.verb not in verbs or not isinstance(state, Waiting):
            continue
        starts = state.reason.category is Category.INTERNAL
        if not starts and _patience_left(job, now) <= 0:
            message = _without_pod_names(state.message, job.name)
            by_reason.setdefault(state.reason, []).append((job.name, message))
    return tuple(_sentence(reason, jobs) for reason, jobs in by_reason.items())


def troubles(findings: PassResult) -> tuple[Reason, ...]:
    """Return what kept the pass from going on, a sentence for each reason, in the order found."""
    by_reason: dict[ReasonCode, list[str]] = {}
    for trouble in findings.troubles:
        by_reason.setdefault(trouble.reason, []).append(trouble.message)
    return tuple(
        Reason(reason, min(messages) + (f" ({len(messages)} times)" if messages[1:] else ""))
        for reason, messages in by_reason.items()
    )


def held_up(findings: PassResult, now: datetime, verbs: Collection[Verb] = _VERBS) -> Reason | None:
    """Return why no job with these verbs runs; none if one does, or nothing is in its way."""
    running = (job for due, job in findings.jobs.items() if due.verb in verbs)
    if any(isinstance(job.state, Running) for job in running):
        return None
    found = (*troubles(findings), *waits(findings, now, verbs))
    if found:
        return max(found, key=_severity)
    training = findings.search is not None and findings.search.phase is Phase.TRAINING
    if findings.pool_holder and Verb.POOL in verbs and training:
        return Reason.static(ReasonCode.WAITING_FOR_POOL, holder=findings.pool_holder)
    return None


def hindrances(findings: PassResult, now: datetime) -> list[Reason]:
    """Return all that needs somebody's attention, the most severe first."""
    stopped = standstill(findings)
    found = list(troubles(findings))
    if stopped is None:
        found += (wait for wait in waits(findings, now) if wait.reason.needs_attention)
    if findings.search is not None and findings.search.finetune_problem:
        found.append(_untuned(findings.search.finetune_problem))
    found.sort(key=_severity, reverse=True)
    return found if stopped is None or stopped is SUSPENDED else [stopped, *found]


def _patience_left(job: ActiveJob, now: datetime) -> float:
    state = job.state
    passing = isinstance(state, Waiting) and state.reason in _MAY_PASS
    if not passing or job.waiting_since is None:
        return 0.0
    return PATIENCE_SECONDS - (now - job.waiting_since).total_seconds()


def _sentence(reason: ReasonCode, jobs: list[tuple[str, str]]) -> Reason:
    name, message = jobs[0]
    who = f"job {name} waits" if len(jobs) == 1 else f"{len(jobs)} jobs wait"
    return Reason(reason, f"{who}: {message}")


def _without_pod_names(message: str, job: str) -> str:
    """Every attempt has a pod of another name; the job's name is enough, and stays."""
    return re.sub(rf"\b{re.escape(job)}(-\d+)?-[a-z0-9]{{5}}\b", job, message)


def _in_order(due: DueJob) -> tuple[int, int]:
    return _VERBS.index(due.verb), due.number


def _severity(reason: Reason) -> int:
    return reason.reason.severity


def suspended_since(status: Mapping[str, Any]) -> datetime | None:
    """When the user suspended it; none where the status does not say so."""
    for condition in status.get("conditions", ()):
        if (condition["type"], condition["status"]) == ("Suspended", "True"):
            return datetime.fromisoformat(condition["lastTransitionTime"])
    return None


def was_suspended(status: Mapping[str, Any]) -> bool:
    """Whether the user suspended it; one that the operator halted is not resumed by itself."""
    return any(
        (condition["type"], condition["status"], condition["reason"])
        == ("Suspended", "True", SUSPENDED.reason)
        for condition in status.get("conditions", ())
    )
