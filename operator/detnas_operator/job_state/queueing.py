"""Why a suspended Job does not start, in the words of Kueue's Workload for it.

Kueue suspends Jobs of its own accord where it manages those without a queue, too: starting one by
hand would take what others wait for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from detnas.reasons import ReasonCode
from detnas_operator.job.labels import QUEUE
from detnas_operator.job_state.states import Waiting

Object = dict[str, Any]

LONGEST_MESSAGE = 1000
"""Characters of a condition's message: the reasons of every flavor may be in it."""
_CONDITIONS = ("Evicted", "QuotaReserved", "Admitted")
"""In the order in which they explain each other."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What was last read of Kueue's Workload for a Job.

    Attributes:
        workload: what `slim_workload` keeps of it; None where there is none.
        unread: why that could not be read; empty where it could.
    """

    workload: Object | None = None
    unread: str = ""


def slim_workload(workload: Object) -> Object:
    """What is read of a Workload: most of one is a copy of the pod's template."""
    spec, metadata = workload.get("spec") or {}, workload["metadata"]
    conditions = (workload.get("status") or {}).get("conditions") or ()
    return {
        "name": metadata["name"],
        "owners": [str(one.get("uid", "")) for one in metadata.get("ownerReferences") or ()],
        "queue": str(spec.get("queueName") or ""),
        "active": spec.get("active") is not False,
        "conditions": {
            str(one["type"]): {
                "status": str(one.get("status", "")),
                "reason": str(one.get("reason", "")),
                "message": str(one.get("message", ""))[:LONGEST_MESSAGE],
            }
            for one in conditions
            if one.get("type") in _CONDITIONS
        },
    }


def suspended(job: Object, admission: Admission | None) -> Waiting:
    """Why a Job is suspended.

    Args:
        job: as the API writes it.
        admission: by Kueue; none where nobody has looked yet.
    """
    if admission is not None and admission.workload is not None:
        return _queued(job, admission.workload)
    queue = _queue_label(job)
    if queue:
        message = f"{_waits(job, queue)}{_without_workload(job, admission)}"
        return Waiting(ReasonCode.QUEUED, message)
    return Waiting(ReasonCode.SUSPENDED, _unqueued(job, admission))


def _queued(job: Object, workload: Object) -> Waiting:
    queue = _queue_label(job) or workload["queue"]
    words = "; ".join(_words(workload)) or "Kueue has not decided on it yet"
    return Waiting(ReasonCode.QUEUED, f"{_waits(job, queue)}: {words}")


def _words(workload: Object) -> Iterator[str]:
    if not workload["active"]:
        yield (
            f"Workload {workload['name']} is deactivated; set its spec.active to true to have it "
            "queued again"
        )
    for name, condition in _telling(workload["conditions"]):
        yield (
            f"{name} is {condition['status']} ({condition['reason']}): "
            f"{condition['message'].rstrip('. ')}"
        )


def _telling(conditions: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Conditions that hold the Job back; those that do not are no news."""
    for name in _CONDITIONS:
        condition = conditions.get(name)
        expected = "False" if name == "Evicted" else "True"
        if condition is not None and condition["status"] != expected:
            yield name, condition


def _waits(job: Object, queue: str) -> str:
    to = f" to queue {queue}" if queue else ", though it names no queue (jobs.queueName)"
    return f"Job {job['metadata']['name']} waits for Kueue to admit it{to}"


def _without_workload(job: Object, admission: Admission | None) -> str:
    if admission is None:
        return ""
    if admission.unread:
        return f"; its Workload cannot be read: {admission.unread}"
    return (
        "; Kueue has made no Workload for it: is Kueue running, and does it manage Jobs in "
        f"namespace {job['metadata']['namespace']}?"
    )


def _unqueued(job: Object, admission: Admission | None) -> str:
    said = f"Job {job['metadata']['name']} was suspended, not by this operator"
    if admission is None:
        return said
    if admission.unread:
        return f"{said}; whether Kueue did it is unknown: {admission.unread}"
    return f"{said}, and Kueue has no Workload for it; set its spec.suspend to false"


def _queue_label(job: Object) -> str:
    return str((job["metadata"].get("labels") or {}).get(QUEUE) or "")
