"""What a pass should do, and what blocks it: pure functions of the plan and the Jobs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from detnas.ledger.summary import Summary
from detnas.plan.stages import JobId, Plan
from detnas.reasons import Reason, ReasonCode
from detnas.spec.manifest import SearchSpec
from detnas_operator.reconcile.observed_jobs import ObservedJob

_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Block:
    """Whether a search may start jobs.

    Attributes:
        suspended: by the user.
        reason: why the operator starts no more jobs; None if it does.
        ends_running: running jobs are stopped too, instead of left to end by themselves.
    """

    suspended: bool = False
    reason: Reason | None = None
    ends_running: bool = False

    @property
    def starts_nothing(self) -> bool:
        """Whether no job may be started."""
        return self.suspended or self.reason is not None


def find_block(
    spec: SearchSpec,
    summary: Summary,
    used_gpu_seconds: float,
    forgiven: int,
    barred: Reason | None = None,
    most_gpu_hours: Decimal | None = None,
) -> Block:
    """Decide whether a search may start jobs.

    Args:
        spec: suspension, budget and limits may change while the search runs.
        summary: its finished trials.
        used_gpu_seconds: GPU time of all its jobs so far.
        forgiven: trials below this number failed before the user resumed the search.
        barred: changed data, or a violated rule of the administrator; what runs may end by itself.
        most_gpu_hours: budget of a search that names none.
    """
    if spec.suspend:
        return Block(suspended=True, ends_running=True)
    budget = spec.limits.gpu_hours if spec.limits.gpu_hours is not None else most_gpu_hours
    if budget is not None and used_gpu_seconds >= float(budget) * _HOUR:
        remedy = "raise spec.limits.gpuHours to continue"
        if spec.limits.gpu_hours is None:
            remedy = "the administrator sets it for searches without spec.limits.gpuHours"
        message = f"the budget of {budget} GPU hours is used up; {remedy}"
        return Block(reason=Reason(ReasonCode.BUDGET_USED_UP, message), ends_running=True)
    if barred is not None:
        return Block(reason=barred)
    in_a_row = summary.failures_in_a_row(forgiven)
    if in_a_row >= spec.limits.consecutive_failures:
        return Block(reason=_failures_in_a_row(summary, in_a_row))
    return Block()


def _failures_in_a_row(summary: Summary, in_a_row: int) -> Reason:
    last = summary.failures[-1]
    message = last.message.splitlines()[0] if last.message else "no message"
    return Reason(
        ReasonCode.FAILURES_IN_A_ROW,
        f"{in_a_row} trials in a row failed, the last one, trial {last.index}, as {last.outcome}: "
        f"{message}; fix the cause, then suspend and resume the search, or raise "
        "spec.limits.consecutiveFailures",
    )


@dataclass(frozen=True, slots=True)
class Steps:
    """What to do, in this order; names are of Jobs.

    Attributes:
        fail: ended without a result, or would never write one: a failure is recorded, and the pass
            decides again.
        delete: no longer needed; one with a result is first left to end by itself.
        start: due, and without a Job.
        propose: new trials to decide and start.
        expire: ended with a result in the store: the Job and its log may go after a while.
        name_taken: due, but an old Job of the name is still being deleted.
        drop: being deleted by others, with a result in the store.
        postpone: with a time to live that something else set, to be removed until they may expire.
        end_pods: with pods that the Job controller can only count once they are deleted.
    """

    fail: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    start: tuple[JobId, ...] = ()
    propose: int = 0
    expire: tuple[str, ...] = ()
    name_taken: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    postpone: tuple[str, ...] = ()
    end_pods: tuple[str, ...] = ()


def steps(
    planned: Plan,
    jobs: Mapping[str, ObservedJob],
    name_of: Callable[[JobId], str],
    block: Block,
) -> Steps:
    """Decide what a pass does.

    Args:
        planned: what is due, by the store.
        jobs: the search's Jobs by name.
        name_of: the one name a job's Job can have.
        block: whether the search may start jobs.
    """
    live = {name: job for name, job in jobs.items() if not job.terminating}
    over = planned.phase.is_over
    ends = over or block.ends_running

    def is_unwanted(job: ObservedJob) -> bool:
        return not job.ended and (job.lingers if job.has_result else ends)

    due = () if over or block.starts_nothing else planned.due
    return Steps(
        fail=_names(jobs, _needs_result),
        delete=_names(live, is_unwanted),
        start=tuple(job for job in due if name_of(job) not in jobs),
        propose=0 if over or block.starts_nothing else planned.proposals,
        expire=_names(live, lambda job: job.ended and job.has_result and not job.expires),
        name_taken=tuple(name_of(job) for job in due if _is_terminating(jobs.get(name_of(job)))),
        drop=_names(jobs, lambda job: job.terminating and job.ended and job.has_result),
        postpone=_names(live, lambda job: job.expires and not (job.ended or job.postponed)),
        end_pods=_names(
            live, lambda job: job.ends_pods and not (job.has_result or is_unwanted(job))
        ),
    )


def _needs_result(job: ObservedJob) -> bool:
    """Whether nothing but the operator will write its result.

    A Job that failed has failed, also if something deletes it then: its time to live, or a user.
    """
    runs_in_vain = (job.exhausted or job.overdue or job.trainer_done) and not job.terminating
    return (job.ended or runs_in_vain) and not (job.data_changed or job.has_result)


def _names(
    jobs: Mapping[str, ObservedJob], chosen: Callable[[ObservedJob], bool]
) -> tuple[str, ...]:
    return tuple(name for name, job in jobs.items() if chosen(job))


def _is_terminating(job: ObservedJob | None) -> bool:
    return job is not None and job.terminating
