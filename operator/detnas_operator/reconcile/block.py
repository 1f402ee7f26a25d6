"""Why a search may not start jobs: suspension, budget, changed data, failures in a row."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from detnas.ledger.summary import Summary
from detnas.reasons import Reason, ReasonCode
from detnas.spec.manifest import SearchSpec
from detnas_operator.job_state.derive import job_state
from detnas_operator.job_state.pods import own_pods
from detnas_operator.job_state.state import Failed
from detnas_operator.reconcile.observed_jobs import ObservedJob
from detnas_operator.reconcile.search_jobs import SearchJobs

_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Block:
    """Whether a search may start jobs.

    Attributes:
        suspended: by the user.
        reason: why the operator starts nothing more; None if it does.
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


def changed_data(jobs: SearchJobs, observed: Mapping[str, ObservedJob]) -> Reason | None:
    """Return why the search is blocked if a Job ended because its data is not what was prepared.

    No such Job gets a result. It stays in the cluster as the record of the change, also across
    restarts, until the user resumes the search, which recreates it.
    """
    names = [name for name, job in observed.items() if job.data_changed and not job.has_result]
    if not names:
        return None
    name = min(names)  # the same in every pass
    job = jobs.all()[name]
    state = job_state(job, own_pods(job, jobs.pods_of(name)), datetime.now(UTC))
    message = state.message if isinstance(state, Failed) else f"job {name} read other data"
    remedy = "once the old data is back, set spec.suspend to true and then to false to continue"
    return Reason(ReasonCode.DATA_CHANGED, f"{message}; {remedy}")
