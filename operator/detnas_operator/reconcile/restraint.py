"""What keeps a search from starting more: its user, its budget, changed data, failures in a row."""

from dataclasses import dataclass
from decimal import Decimal

from detnas.ledger.summary import Summary
from detnas.reasons import Reason, ReasonCode
from detnas.spec.manifest import SearchSpec

_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Block:
    """Whether a search may start jobs.

    Attributes:
        suspended: the user wants nothing to run.
        halted: why the operator starts nothing more; none if it does.
        ends_running: what runs is ended too, not only left to its end.
    """

    suspended: bool = False
    halted: Reason | None = None
    ends_running: bool = False

    @property
    def starts_nothing(self) -> bool:
        """Whether no job may be started."""
        return self.suspended or self.halted is not None


def restraint(
    spec: SearchSpec,
    summary: Summary,
    used_gpu_seconds: float,
    forgiven: int,
    barred: Reason | None = None,
    most_gpu_hours: Decimal | None = None,
) -> Block:
    """Decide whether a search may start jobs.

    Args:
        spec: what it is told; suspension, budget and limits may change while it runs.
        summary: its finished trials.
        used_gpu_seconds: GPU time of all its jobs so far.
        forgiven: trials below this number failed before the user resumed the search.
        barred: other data than the search was prepared with, or a rule of the administrator's;
            what runs is left to its end.
        most_gpu_hours: budget of a search that names none.
    """
    if spec.suspend:
        return Block(suspended=True, ends_running=True)
    budget = spec.limits.gpu_hours if spec.limits.gpu_hours is not None else most_gpu_hours
    if budget is not None and used_gpu_seconds >= float(budget) * _HOUR:
        remedy = "raise spec.limits.gpuHours to go on"
        if spec.limits.gpu_hours is None:
            remedy = "the administrator sets it for searches without spec.limits.gpuHours"
        message = f"the budget of {budget} GPU hours is used up; {remedy}"
        return Block(halted=Reason(ReasonCode.BUDGET_USED_UP, message), ends_running=True)
    if barred is not None:
        return Block(halted=barred)
    in_a_row = summary.failures_in_a_row(forgiven)
    if in_a_row >= spec.limits.consecutive_failures:
        return Block(halted=_failing(summary, in_a_row))
    return Block()


def _failing(summary: Summary, in_a_row: int) -> Reason:
    last = summary.failures[-1]
    said = last.message.splitlines()[0] if last.message else "no message"
    return Reason(
        ReasonCode.FAILURES_IN_A_ROW,
        f"{in_a_row} trials in a row failed, the last one, trial {last.index}, as {last.outcome}: "
        f"{said}; mend the cause, then suspend and resume the search, or raise "
        "spec.limits.consecutiveFailures",
    )
