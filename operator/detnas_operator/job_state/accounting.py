"""What a Job's pods have come to: resumptions and time."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from detnas_operator.job_state import pods
from detnas_operator.job_state.pod_failures import is_ignored

Object = dict[str, Any]


def resumptions(job_pods: Sequence[Object]) -> int:
    """Return how often the Job was resumed: ended pods that did not count, of its worst index.

    Pods of a lost node are deleted after a while, and then no longer seen here: the attempts in
    the store are the whole number.
    """
    ignored = (pod for pod in job_pods if pods.phase(pod) == "Failed" and is_ignored(pod))
    return max(Counter(pods.index(pod) for pod in ignored).values(), default=0)


def pod_seconds(job_pods: Sequence[Object], now: datetime) -> float:
    """Return the time that the pods have held their node's resources, added up.

    A pod holds them from when its node took it in until the last of its containers ended; one
    whose end nobody saw, until it should have been gone.
    """
    return sum(_held(pod, now) for pod in job_pods)


def _held(pod: Object, now: datetime) -> float:
    taken = pods.moment(pod.get("status", {}).get("startTime"))
    if taken is None:
        return 0.0
    ended = now  # also where the trainer has ended, and another container has not
    if pods.phase(pod) in pods.ENDED:
        deleted = pods.moment(pod["metadata"].get("deletionTimestamp"))
        ended = pods.last_end(pod) or deleted or taken
    return max(0.0, (ended - taken).total_seconds())
