"""Why a suspended Job does not start, as Kueue's Workload for it reports.

Kueue may be configured to suspend Jobs without a queue, too: to start one by hand would bypass its
quota.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from detnas.reasons import ReasonCode
from detnas_operator.cluster.labels import QUEUE
from detnas_operator.cluster.objects import JobView, Object, ObjectView
from detnas_operator.job_state.state import Waiting

MAX_MESSAGE_CHARACTERS = 1000
"""Characters of a condition's message: the reasons of every flavor may be in it."""
_CONDITIONS = ("Evicted", "QuotaReserved", "Admitted")
"""In the order in which they explain each other."""


@dataclass(frozen=True, slots=True)
class WorkloadCondition:
    """A condition of a Workload that explains whether its Job is admitted."""

    kind: str
    status: str
    reason: str
    message: str

    @property
    def blocks(self) -> bool:
        """Whether it holds the Job back."""
        return self.status != ("False" if self.kind == "Evicted" else "True")


@dataclass(frozen=True, slots=True)
class Workload:
    """What is read of a Workload: most of one is a copy of the pod's template.

    Attributes:
        name: its name.
        owners: UIDs of the Jobs it is for.
        queue: its LocalQueue; empty if it has none.
        active: it is queued; a person may have deactivated it.
        conditions: those that explain each other, in that order.
    """

    name: str
    owners: tuple[str, ...]
    queue: str
    active: bool
    conditions: tuple[WorkloadCondition, ...]


@dataclass(frozen=True, slots=True)
class ObservedWorkload:
    """What was last read of Kueue's Workload for a Job.

    Attributes:
        workload: None if there is none.
        unread: why that could not be read; empty if it could.
    """

    workload: Workload | None = None
    unread: str = ""


def read_workload(body: Object) -> Workload:
    """Read a Workload as the API writes it."""
    view = ObjectView(body)
    return Workload(
        name=view.name,
        owners=tuple(view.owner_uids),
        queue=str(view.spec.get("queueName") or ""),
        active=view.spec.get("active") is not False,
        conditions=tuple(
            WorkloadCondition(
                kind=condition["type"],
                status=str(condition.get("status", "")),
                reason=str(condition.get("reason", "")),
                message=str(condition.get("message", ""))[:MAX_MESSAGE_CHARACTERS],
            )
            for kind in _CONDITIONS
            for condition in view.status.get("conditions") or ()
            if condition.get("type") == kind
        ),
    )


def suspension_wait(job: JobView, observed: ObservedWorkload | None) -> Waiting:
    """Return why a Job is suspended.

    Args:
        job: the Job.
        observed: its Workload; None before it was looked up.
    """
    queue = job.labels.get(QUEUE) or ""
    if observed is not None and observed.workload is not None:
        return _queued(job, queue, observed.workload)
    if queue:
        message = f"{_waits(job, queue)}{_without_workload(job, observed)}"
        return Waiting(ReasonCode.QUEUED, message)
    return Waiting(ReasonCode.SUSPENDED, _unqueued(job, observed))


def _queued(job: JobView, queue: str, workload: Workload) -> Waiting:
    why = "; ".join(_reported(workload)) or "Kueue has not decided on it yet"
    return Waiting(ReasonCode.QUEUED, f"{_waits(job, queue or workload.queue)}: {why}")


def _reported(workload: Workload) -> Iterator[str]:
    if not workload.active:
        yield (
            f"Workload {workload.name} is deactivated; set its spec.active to true to have it "
            "queued again"
        )
    for condition in workload.conditions:
        if condition.blocks:
            yield (
                f"{condition.kind} is {condition.status} ({condition.reason}): "
                f"{condition.message.rstrip('. ')}"
            )


def _waits(job: JobView, queue: str) -> str:
    to = f" to queue {queue}" if queue else ", though it names no queue (jobs.queueName)"
    return f"{job.title} waits for Kueue to admit it{to}"


def _without_workload(job: JobView, observed: ObservedWorkload | None) -> str:
    if observed is None:
        return ""
    if observed.unread:
        return f"; its Workload cannot be read: {observed.unread}"
    return (
        "; Kueue has made no Workload for it: is Kueue running, and does it manage "
        f"{job.kind}s in namespace {job.namespace}?"
    )


def _unqueued(job: JobView, observed: ObservedWorkload | None) -> str:
    suspended_by_others = f"{job.title} was suspended, not by this operator"
    if observed is None:
        return suspended_by_others
    if observed.unread:
        return f"{suspended_by_others}; whether Kueue did it is unknown: {observed.unread}"
    return f"{suspended_by_others}, and Kueue has no Workload for it; set its spec.suspend to false"
