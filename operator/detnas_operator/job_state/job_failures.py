"""Why a Job failed, found in its condition and in what is left of its pods."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from detnas_operator.job_state import pods
from detnas_operator.job_state.exits import explain_exit
from detnas_operator.job_state.pod_failures import PodFailure, is_ignored, pod_failure
from detnas_operator.job_state.states import Failed, FailureKind

Object = dict[str, Any]

_NEVER = datetime.min.replace(tzinfo=UTC)
_CULPRIT = re.compile(r"for pod \S+/(?P<pod>\S+) failed with exit code (?P<code>\d+)")
"""In the Job controller's message of a FailJob rule; the pod itself may be gone."""


def job_failure(job: Object, job_pods: Sequence[Object], condition: Object) -> Failed:
    """Return the failure of a Job.

    Args:
        job: the Job.
        job_pods: those of its pods that are still there.
        condition: its condition Failed.
    """
    name, reason = job["metadata"]["name"], condition.get("reason", "")
    words = pods.one_line(condition.get("message"))
    if reason == "PodFailurePolicy" and (culprit := _CULPRIT.search(words)):
        failure = _named(culprit["pod"], int(culprit["code"]), job_pods)
        return Failed(failure.kind, failure.message, failure.exit_code)
    if reason == "DeadlineExceeded":
        return Failed(FailureKind.DEADLINE_EXCEEDED, _deadline(job))
    if reason != "BackoffLimitExceeded":
        return Failed(FailureKind.UNKNOWN, f"Job {name} failed ({reason}): {words}")
    last = _last_counted(job, job_pods)
    if last is None:
        message = f"{_used_up(job)}: none of its pods is left to say why{_deleted_at_once(job)}"
        return Failed(FailureKind.BACKOFF_LIMIT_EXCEEDED, message)
    return Failed(last.kind, f"{_used_up(job)}: {last.message}", last.exit_code)


def latest_failure(job_pods: Iterable[Object]) -> tuple[PodFailure, datetime] | None:
    """Return the failure of the pod that failed last, counted or not, and when that was."""
    failed = [pod for pod in job_pods if pods.phase(pod) == "Failed"]
    if not failed:
        return None
    last = max(failed, key=_ended)
    return pod_failure(last), _ended(last)


def _named(name: str, code: int, job_pods: Iterable[Object]) -> PodFailure:
    for pod in job_pods:
        if pods.name(pod) == name:
            return pod_failure(pod)
    kind, sentence = explain_exit(code)
    return PodFailure(kind, f"pod {name} {sentence}", code)


def _last_counted(job: Object, job_pods: Iterable[Object]) -> PodFailure | None:
    """Of several workers, a plain exit is often the echo of another's end: that one is told."""
    failed = [pod for pod in job_pods if pods.phase(pod) == "Failed" and not is_ignored(pod)]
    workers = job.get("spec", {}).get("parallelism", 1)
    told = [(pod_failure(pod), _ended(pod)) for pod in failed]

    def telling(one: tuple[PodFailure, datetime]) -> tuple[bool, datetime]:
        failure, ended = one
        return workers > 1 and failure.kind is not FailureKind.EXIT_CODE, ended

    return max(told, key=telling)[0] if told else None


def _ended(pod: Object) -> datetime:
    return pods.ended_at(pod) or pods.moment(pod["metadata"].get("creationTimestamp")) or _NEVER


def _used_up(job: Object) -> str:
    failed = job.get("status", {}).get("failed", 0)
    attempts = f"{failed} attempts; the last" if failed > 1 else "its only attempt"
    return f"Job {job['metadata']['name']} gave up after {attempts}"


def _deleted_at_once(job: Object) -> str:
    seconds = job.get("spec", {}).get("ttlSecondsAfterFinished")
    if not job["metadata"].get("deletionTimestamp") or seconds is None:
        return ""
    return (
        f"; Kubernetes deletes the Job {seconds} s after its end, since its "
        "ttlSecondsAfterFinished says so, which a policy of the cluster has set"
    )


def _deadline(job: Object) -> str:
    seconds = job.get("spec", {}).get("activeDeadlineSeconds")
    limit = f" of {seconds} s" if seconds else ""
    return (
        f"Job {job['metadata']['name']} was active longer than its deadline{limit}, the time in "
        "which its pod waited for a node included; raise it in spec.deadlines"
    )
