"""Jobs that have not ended, as the status lists them."""

from collections.abc import Iterator, Mapping
from typing import Any

from detnas.lifecycle.status import SearchStatus, job_name
from detnas.plan.stages import DueJob, Verb
from detnas.reasons import ReasonCode
from detnas.records.progress import Progress
from detnas.resource.status import ActiveJob
from detnas_operator.job_state.states import Failed, Running, Succeeded, Waiting
from detnas_operator.status.findings import ActiveJob as FoundJob
from detnas_operator.status.findings import PassResult

_VERBS = tuple(Verb)
_NUMBERED = frozenset({Verb.POOL, Verb.EVALUATE})
_FOR_EVER = 1e10
"""Seconds; some three hundred years."""
_ENDED = (Succeeded, Failed)
_WAITING = "waiting: "


def active_jobs(findings: PassResult, search: SearchStatus) -> Iterator[ActiveJob]:
    """Yield the jobs in the order in which a search runs them, each with what it last said."""
    said = {job.name: job.progress for job in search.active}
    for due in sorted(findings.jobs, key=lambda due: (_VERBS.index(due.verb), due.number)):
        yield _active(due, findings.jobs[due], said.get(job_name(due)))


def active_trials(findings: PassResult) -> int:
    """Count the trials whose Jobs have not ended."""
    return sum(
        due.verb is Verb.EVALUATE and not isinstance(job.state, _ENDED)
        for due, job in findings.jobs.items()
    )


def waits(job: Mapping[str, Any]) -> str:
    """Return what an active job of the status waits for; empty where it runs or starts."""
    activity = str(job.get("activity") or "")
    return activity if activity.startswith(_WAITING) else ""


def _active(due: DueJob, job: FoundJob, progress: Progress | None) -> ActiveJob:
    # What an attempt said that was stopped since is no news of the next one.
    runs = isinstance(job.state, Running)
    return ActiveJob(
        job=job.name,
        verb=str(due.verb),
        trial=due.number if due.verb in _NUMBERED else None,
        started=job.started,
        **_last_words(progress) if runs and progress else {"activity": _standing(job)},
    )


def _last_words(progress: Progress) -> dict[str, Any]:
    return {
        "activity": progress.activity,
        "done": progress.done,
        "total": progress.total,
        "epoch": progress.epoch,
        "epochs": progress.epochs,
        "loss": progress.loss,
        "seconds_left": whole_seconds(progress.seconds_left),
    }


def whole_seconds(seconds: float | None) -> int | None:
    """Return an estimate as the status has it; none for one that says nothing."""
    if seconds is None or not 0 <= seconds < _FOR_EVER:
        return None
    return round(seconds)


def _standing(job: FoundJob) -> str:
    match job.state:
        case Waiting(ReasonCode.STARTING) | Running():
            return "starting"
        case Waiting(ReasonCode.STOPPING):
            return "stopping"
        case Waiting(reason):
            return f"{_WAITING}{reason}"
        case Succeeded() | Failed():
            return "ending"
        case _:
            return "stopping"
