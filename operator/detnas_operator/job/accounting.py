"""What a Job has used so far: attempts and time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from detnas_operator.job import pods
from detnas_operator.job.pod_failures import is_ignored

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Attempts:
    """A Job's pods, counted by the Job controller.

    Attributes:
        succeeded: pods that ended with exit 0.
        failed: pods that failed and counted; those that asked to be resumed or were preempted
            do not (``podFailurePolicy``).
        active: pods that are there and have not ended.
    """

    succeeded: int
    failed: int
    active: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.succeeded + self.failed + self.active


def attempts(job: Object) -> Attempts:
    """Return how many pods the Job has had; each is in exactly one of the counters."""
    status = job.get("status", {})
    pending = status.get("uncountedTerminatedPods") or {}
    return Attempts(
        succeeded=status.get("succeeded", 0) + len(pending.get("succeeded") or ()),
        failed=status.get("failed", 0) + len(pending.get("failed") or ()),
        active=status.get("active", 0),
    )


def resumptions(job_pods: Sequence[Object]) -> int:
    """Return how often the Job was resumed: ended pods that did not count, of its worst index.

    Pods of a lost node are deleted after a while, and then no longer seen here: the attempts in
    the store are the whole number.
    """
    ignored = (pod for pod in job_pods if pods.phase(pod) == "Failed" and is_ignored(pod))
    return max(Counter(pods.index(pod) for pod in ignored).values(), default=0)


def elapsed_seconds(job: Object, now: datetime) -> float:
    """Return how long the Job is, or was, active since it last started; 0 before that.

    A Job that is suspended and resumed starts anew.
    """
    status = job.get("status", {})
    started = pods.moment(status.get("startTime"))
    if started is None or job.get("spec", {}).get("suspend"):
        return 0.0
    failed = pods.is_true(job, "Failed") or {}
    ended = pods.moment(status.get("completionTime") or failed.get("lastTransitionTime"))
    return max(0.0, ((ended or now) - started).total_seconds())


def pod_seconds(job_pods: Sequence[Object], now: datetime) -> float:
    """Return the time that the pods have held their node's resources, added up.

    A pod holds them from when its node took it in until its container ended; one whose end nobody
    saw, until it should have been gone.
    """
    return sum(_held(pod, now) for pod in job_pods)


def _held(pod: Object, now: datetime) -> float:
    taken = pods.moment(pod.get("status", {}).get("startTime"))
    if taken is None:
        return 0.0
    ended = pods.ended_at(pod)
    if ended is None and pods.phase(pod) in pods.ENDED:
        ended = pods.moment(pod["metadata"].get("deletionTimestamp")) or taken
    return max(0.0, ((ended or now) - taken).total_seconds())
