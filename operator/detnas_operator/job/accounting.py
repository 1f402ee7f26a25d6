"""What a Job has used so far: attempts and time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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
    """Return how many pods the Job has had."""
    raise NotImplementedError


def resumptions(pods: Sequence[Object]) -> int:
    """Return how often the Job was resumed: ended pods that did not count, of its worst index.

    Pods of a lost node are deleted after a while, and then no longer seen here: the attempts in
    the store are the whole number.
    """
    raise NotImplementedError


def elapsed_seconds(job: Object, now: datetime) -> float:
    """Return how long the Job is, or was, active since it last started; 0 before that.

    A Job that is suspended and resumed starts anew.
    """
    raise NotImplementedError


def pod_seconds(pods: Sequence[Object], now: datetime) -> float:
    """Return the time that the pods have held their node's resources, added up."""
    raise NotImplementedError
