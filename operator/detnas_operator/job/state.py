"""From a Job's object, and its pods', to how the Job stands."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from detnas_operator.job.states import (
    Failed,
    FailureKind,
    JobState,
    Running,
    Succeeded,
    Terminating,
    Waiting,
    WaitingReason,
)

__all__ = [
    "Failed",
    "FailureKind",
    "JobState",
    "Running",
    "Succeeded",
    "Terminating",
    "Waiting",
    "WaitingReason",
    "job_state",
]

Object = dict[str, Any]


def job_state(job: Object, pods: Sequence[Object], now: datetime) -> JobState:
    """Return how a Job stands.

    Args:
        job: as the API writes it; of its spec only ``suspend`` and ``parallelism`` are read.
        pods: those the Job owns, ended ones too; none where nobody listed them.
        now: the time, with its zone.
    """
    raise NotImplementedError
