"""Why a search may start no jobs, or none of its jobs may run: what blocks it, not what to do."""

from dataclasses import dataclass
from decimal import Decimal

from detnas.ledger.summary import Summary
from detnas.reasons import Reason, ReasonCode
from detnas.records.results import MAX_JOB_SUBNETS
from detnas.spec.manifest import SearchSpec

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
    other: Reason | None = None,
    default_gpu_hours: Decimal | None = None,
) -> Block:
    """Decide whether a search may start jobs.

    Args:
        spec: suspension, budget and limits may change while the search runs.
        summary: its finished trials.
        used_gpu_seconds: GPU time of all its jobs so far.
        forgiven: trials below this number failed before the user resumed the search.
        other: changed data, or a violated rule of the administrator; what runs may end by itself.
        default_gpu_hours: budget of a search that names none.
    """
    if spec.suspend:
        return Block(suspended=True, ends_running=True)
    budget = spec.limits.gpu_hours if spec.limits.gpu_hours is not None else default_gpu_hours
    if budget is not None and used_gpu_seconds >= float(budget) * _HOUR:
        remedy = "raise spec.limits.gpuHours to continue"
        if spec.limits.gpu_hours is None:
            remedy = "the administrator sets it for searches without spec.limits.gpuHours"
        message = f"the budget of {budget} GPU hours is used up; {remedy}"
        return Block(reason=Reason(ReasonCode.BUDGET_USED_UP, message), ends_running=True)
    if other is not None:
        return Block(reason=other)
    in_a_row = summary.failures_in_a_row(forgiven)
    # One failed job of subnets is that many failed trials.
    per_job = MAX_JOB_SUBNETS if spec.searches_pool else 1
    if in_a_row >= spec.limits.consecutive_failures * per_job:
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
