"""The states of a Job."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from detnas.reasons import ReasonCode


class FailureKind(StrEnum):
    """What ended a Job without success."""

    CANDIDATE = "Candidate"
    """Exit 42 or 43 of an earlier trainer: the result has the reason."""
    DATA_CHANGED = "DataChanged"
    """Exit 44: the job reads other data than the data check did; no fault of the candidate."""
    EXIT_CODE = "ExitCode"
    """Another exit code of the trainer's, or a signal."""
    OUT_OF_MEMORY = "OOMKilled"
    """The node's main memory, or the container's limit of it: never the GPU's."""
    START_ERROR = "StartError"
    """The container's command could not be started."""
    OTHER_CONTAINER = "OtherContainer"
    """A container that others added to the pod failed."""
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    EVICTED = "Evicted"
    """By the node itself, for memory or disk."""
    DISRUPTED = "Disrupted"
    """By preemption, a drain or a taint; ends a Job only if it is no longer resumed."""
    NODE_LOST = "NodeLost"
    BACKOFF_LIMIT_EXCEEDED = "BackoffLimitExceeded"
    """Its attempts are used up, and no pod is left to say why."""
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not all pods of the Job run.

    Attributes:
        code: why.
        message: for people, with what to do.
    """

    code: ReasonCode
    message: str


@dataclass(frozen=True, slots=True)
class Running:
    """Every pod of the Job runs.

    Attributes:
        since: when the last of them started.
    """

    since: datetime


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The Job is complete: its pods ended with exit 0. The store may hold no result."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The Job, or one of its pods, is over without success.

    Attributes:
        kind: what ended it.
        message: for people: pod, exit code or signal, reason, and what to do.
        exit_code: of the trainer; None if it is not known, or it did not start.
    """

    kind: FailureKind
    message: str
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Terminating:
    """The Job is being deleted, or is over and its last pods are being stopped.

    Attributes:
        message: which of these.
        deleted: the Job itself is being deleted.
    """

    message: str
    deleted: bool


JobState = Waiting | Running | Succeeded | Failed | Terminating
