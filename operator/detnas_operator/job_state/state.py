"""From a Job's object, and its pods', to how the Job stands."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from detnas.reasons import ReasonCode
from detnas_operator.job_state import pods
from detnas_operator.job_state.ended_pods import own_pods
from detnas_operator.job_state.job_failures import job_failure, latest_failure
from detnas_operator.job_state.pod_waits import pod_wait
from detnas_operator.job_state.queueing import Admission, suspended
from detnas_operator.job_state.refusals import refusal
from detnas_operator.job_state.states import (
    Failed,
    FailureKind,
    JobState,
    Running,
    Succeeded,
    Terminating,
    Waiting,
)

__all__ = [
    "Failed",
    "FailureKind",
    "JobState",
    "Running",
    "Succeeded",
    "Terminating",
    "Waiting",
    "job_state",
]

Object = dict[str, Any]

_Events = Mapping[str, Sequence[Object]]

_MAY_STILL_START = (ReasonCode.STARTING, ReasonCode.NOT_STARTING, ReasonCode.STOPPING)
_SOON = timedelta(seconds=30)
"""Within this the Job controller creates the pods of a new Job."""

_NEXT_ATTEMPT = "the Job controller begins the next attempt within 10 minutes"
"""The longest that it lets pass after a failure."""


def job_state(
    job: Object,
    job_pods: Sequence[Object],
    now: datetime,
    refused: str = "",
    admission: Admission | None = None,
    events: _Events | None = None,
) -> JobState:
    """Return how a Job stands.

    Args:
        job: as the API writes it; of its spec only ``suspend``, ``parallelism`` and
            ``activeDeadlineSeconds`` are read.
        job_pods: those the Job owns, ended ones too, among others; none where nobody listed them,
            or there are none: then the Job's own counters must do.
        now: the time, with its zone.
        refused: why the Job controller could not create pods, if its last event says so.
        admission: what Kueue says of a suspended Job; none where nobody has looked yet.
        events: about the pods, by their UID, the latest last; as far as they were looked up.
    """
    own = own_pods(job, job_pods)
    if over := _over(job, own):
        return over
    if job.get("spec", {}).get("suspend"):  # no pod says anything of it
        return suspended(job, admission)
    listed = own if pods.owned(job, job_pods) else []
    return _live(job, listed, now, refused, events or {})


def _over(job: Object, job_pods: Sequence[Object]) -> JobState | None:
    """FailureTarget and SuccessCriteriaMet only announce an end: pods may run on for a while."""
    name = job["metadata"]["name"]
    if pods.is_true(job, "Complete"):
        return Succeeded()
    if failed := pods.is_true(job, "Failed"):  # whatever deletes it then, such as its TTL
        return job_failure(job, job_pods, failed)
    if job["metadata"].get("deletionTimestamp"):
        return Terminating(f"Job {name} is being deleted", deleted=True)
    if pods.is_true(job, "FailureTarget") or pods.is_true(job, "SuccessCriteriaMet"):
        return Terminating(f"Job {name} is over, its last pods are being stopped", deleted=False)
    return None


def _live(
    job: Object, job_pods: Sequence[Object], now: datetime, refused: str, events: _Events
) -> JobState:
    if not job_pods:
        return _without_pods(job, now, refused)
    live = [pod for pod in job_pods if pods.phase(pod) not in pods.ENDED]
    told = [pod_wait(pod, now, events.get(pods.uid(pod), ())) for pod in _by_index(live)]
    waits = [wait for wait in told if wait is not None]
    if waits:
        return min(waits, key=lambda wait: wait.reason in _MAY_STILL_START)
    succeeded = sum(pods.phase(pod) == "Succeeded" for pod in job_pods)
    missing = _parallelism(job) - succeeded - len(live)
    if missing > 0:
        return _incomplete(job, job_pods, now, refused)
    if not live:
        name = job["metadata"]["name"]
        return Terminating(f"the pods of Job {name} ended well, it is all but complete", False)
    return Running(max(_started(pod, now) for pod in live))


def _without_pods(job: Object, now: datetime, refused: str) -> JobState:
    name, status = job["metadata"]["name"], job.get("status", {})
    started = pods.moment(status.get("startTime"))
    if started and status.get("ready", 0) >= _parallelism(job):
        return Running(started)
    if status.get("active", 0) > 0:
        return Waiting(ReasonCode.STARTING, f"the pods of Job {name} are starting")
    if status.get("failed", 0) > 0 and not refused:
        return Waiting(ReasonCode.RETRYING, f"Job {name} makes another attempt shortly")
    return _uncreated(job, started, now, refused)


def _incomplete(job: Object, job_pods: Sequence[Object], now: datetime, refused: str) -> JobState:
    last = latest_failure(job_pods)
    if last is None:
        return _uncreated(job, pods.moment(job.get("status", {}).get("startTime")), now, refused)
    failure, ended = last
    if refused:
        return _uncreated(job, ended, now, refused)
    return Waiting(ReasonCode.RETRYING, f"{failure.message}; {_NEXT_ATTEMPT}")


def _uncreated(job: Object, due: datetime | None, now: datetime, refused: str) -> JobState:
    """Pods should be there since ``due``; none if the Job controller has not seen the Job yet."""
    name = job["metadata"]["name"]
    if refused:
        return refusal(f"a pod of Job {name}", refused)
    if due is not None and now - due > _SOON:
        # A pod that somebody deleted leaves nothing behind, and counts as an attempt that failed.
        message = f"Job {name} lacks a pod, and no event says that it is refused; {_NEXT_ATTEMPT}"
        return Waiting(ReasonCode.RETRYING, message)
    return Waiting(ReasonCode.STARTING, f"Job {name} is about to create its pods")


def _by_index(job_pods: Sequence[Object]) -> Sequence[Object]:
    return sorted(job_pods, key=pods.index)


def _parallelism(job: Object) -> int:
    return int(job.get("spec", {}).get("parallelism") or 1)


def _started(pod: Object, now: datetime) -> datetime:
    running = pods.container_state(pod, "running") or {}
    return pods.moment(running.get("startedAt")) or now
