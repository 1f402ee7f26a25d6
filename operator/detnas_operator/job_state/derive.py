"""The state of a Job, derived from its object and its pods'."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from detnas.reasons import ReasonCode
from detnas_operator.cluster.objects import JobView
from detnas_operator.cluster.pods import EventView, PodView
from detnas_operator.job.names import CONTAINER
from detnas_operator.job_state.ended_pods import own_pods
from detnas_operator.job_state.failures import job_failure, latest_failure
from detnas_operator.job_state.pod_waits import pod_wait
from detnas_operator.job_state.pods import owned_by
from detnas_operator.job_state.queueing import ObservedWorkload, suspension_wait
from detnas_operator.job_state.quota import refusal_wait
from detnas_operator.job_state.state import JobState, Running, Succeeded, Terminating, Waiting

_Events = Mapping[str, Sequence[EventView]]

_MAY_STILL_START = (ReasonCode.STARTING, ReasonCode.NOT_STARTING, ReasonCode.STOPPING)
_CREATION_PATIENCE = timedelta(seconds=30)
"""Within this the Job controller creates the pods of a new Job."""

_NEXT_ATTEMPT = "the Job controller begins the next attempt within 10 minutes"
"""The longest that it waits after a failure."""


def job_state(
    job: JobView,
    job_pods: Sequence[PodView],
    now: datetime,
    refused: str = "",
    workload: ObservedWorkload | None = None,
    events: _Events | None = None,
) -> JobState:
    """Return the state of a Job.

    Args:
        job: the Job; of its spec only ``suspend``, ``parallelism`` and
            ``activeDeadlineSeconds`` are read.
        job_pods: pods, among them the Job's own, ended ones too; empty if there are none or they
            were not listed: then the counters in the Job's status are used.
        now: the time, with its zone.
        refused: why the Job controller could not create pods, if its last event reports that.
        workload: Kueue's for a suspended Job; None before it was looked up.
        events: about the pods, by their UID, the latest last, if they were looked up.
    """
    own = own_pods(job, job_pods)
    if over := _over(job, own):
        return over
    if job.suspended:  # it has no pods that report anything
        return suspension_wait(job, workload)
    pods = own if owned_by(job, job_pods) else []
    return _live(job, pods, now, refused, events or {})


def _over(job: JobView, job_pods: Sequence[PodView]) -> JobState | None:
    """FailureTarget and SuccessCriteriaMet only announce an end: pods may still run for a while."""
    if job.true_condition("Complete"):
        return Succeeded()
    if failed := job.true_condition("Failed"):  # whatever deletes it then, such as its TTL
        return job_failure(job, job_pods, failed)
    if job.deleted is not None:
        return Terminating(f"{job.title} is being deleted", deleted=True)
    if job.true_condition("FailureTarget") or job.true_condition("SuccessCriteriaMet"):
        message = f"{job.title} is over, its last pods are being stopped"
        return Terminating(message, deleted=False)
    return None


def _live(
    job: JobView, pods: Sequence[PodView], now: datetime, refused: str, events: _Events
) -> JobState:
    if not pods:
        return _without_pods(job, now, refused)
    live = sorted((pod for pod in pods if not pod.has_ended), key=lambda pod: pod.index)
    waits = (pod_wait(pod, now, events.get(pod.uid, ())) for pod in live)
    if reported := [wait for wait in waits if wait is not None]:
        return min(reported, key=lambda wait: wait.code in _MAY_STILL_START)
    succeeded = sum(pod.phase == "Succeeded" for pod in pods)
    missing = job.parallelism - succeeded - len(live)
    if missing > 0:
        return _incomplete(job, pods, now, refused)
    if not live:
        return Terminating(f"the pods of {job.title} ended well, it is all but complete", False)
    return Running(max(pod.container(CONTAINER).running_since or now for pod in live))


def _without_pods(job: JobView, now: datetime, refused: str) -> JobState:
    if job.started and job.ready_pods >= job.parallelism:
        return Running(job.started)
    if job.active_pods > 0:
        return Waiting(ReasonCode.STARTING, f"the pods of {job.title} are starting")
    if job.failed_pods > 0 and not refused:
        return Waiting(ReasonCode.RETRYING, f"{job.title} makes another attempt shortly")
    return _uncreated(job, job.started, now, refused)


def _incomplete(job: JobView, pods: Sequence[PodView], now: datetime, refused: str) -> JobState:
    last = latest_failure(pods)
    if last is None:
        return _uncreated(job, job.started, now, refused)
    failure, ended = last
    if refused:
        return _uncreated(job, ended, now, refused)
    return Waiting(ReasonCode.RETRYING, f"{failure.message}; {_NEXT_ATTEMPT}")


def _uncreated(job: JobView, due: datetime | None, now: datetime, refused: str) -> JobState:
    """Pods should exist since ``due``; None if the Job controller has not taken up the Job yet."""
    if refused:
        return refusal_wait(f"a pod of {job.title}", refused)
    if job.manager:
        where = f"{job.title} is run by {job.manager}, and its status reports no pod yet"
        return Waiting(ReasonCode.STARTING, where)
    if due is not None and now - due > _CREATION_PATIENCE:
        if job.plural == "jobsets" and job.pods_owner == job.uid:
            message = f"{job.title} has no Job yet; look at the JobSet controller and its log"
            return Waiting(ReasonCode.RETRYING, message)
        # A deleted pod leaves no trace, and counts as a failed attempt.
        why = "no event says that it is refused"
        message = f"{job.title} lacks a pod, and {why}; {_NEXT_ATTEMPT}"
        return Waiting(ReasonCode.RETRYING, message)
    return Waiting(ReasonCode.STARTING, f"{job.title} is about to create its pods")
