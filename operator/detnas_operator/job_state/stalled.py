"""Running jobs that make no progress: a pod that runs is no proof of it."""

from dataclasses import dataclass
from typing import Any

from detnas.lifecycle.attempts import Attempts
from detnas.reasons import Reason, ReasonCode
from detnas.records.progress import Progress

MAX_READ_PAUSE_SECONDS = 45.0
"""The longest pause between two reads of a job's progress."""
_REPORT_SECONDS = 120.0
"""A stalled trainer is reported within this time after its last heartbeat."""
HEARTBEAT_PATIENCE_SECONDS = _REPORT_SECONDS - MAX_READ_PAUSE_SECONDS
"""How long a heartbeat may be missing: the last one may have come just after a read."""
STEP_PATIENCE_SECONDS = 600.0
"""How long a step may take, or a start; an earlier trainer without a heartbeat writes as often."""
STEPLESS_PATIENCE_SECONDS = 1800.0
"""How long a phase without steps may take, such as publishing weights."""


@dataclass(frozen=True, slots=True)
class ProgressReading:
    """What a running job has written, and when that changed, on this process's clock.

    Clocks of other machines may be wrong, so their times are never compared with it.

    Attributes:
        attempts: as last read.
        read: when.
        changed: when a read found another progress record than the one before.
        stepped: when a read found another step, or another activity.
    """

    attempts: Attempts
    read: float
    changed: float
    stepped: float

    def then(self, attempts: Attempts, now: float) -> "ProgressReading":
        """Return what is known after another read."""
        same = attempts == self.attempts
        stepped = self.stepped if _step(attempts) == _step(self.attempts) else now
        return ProgressReading(attempts, now, self.changed if same else now, stepped)


def stalled_reason(name: str, reading: ProgressReading | None, ran_since: float) -> Reason | None:
    """Return why a running Job seems to be stalled; None if it does not.

    Args:
        name: of the Job.
        reading: what it wrote; None before that was read.
        ran_since: since when its pods run without a break, on the clock of ``reading``.
    """
    if reading is None:
        return None
    progress = reading.attempts.progress
    # Up to the last read: while the store does not answer, nothing is known of the job.
    unchanged = reading.read - max(reading.changed, ran_since)
    stepless = reading.read - max(reading.stepped, ran_since)
    if unchanged >= _patience(progress):
        return Reason(ReasonCode.NO_PROGRESS, _without_heartbeat(name, progress))
    if progress is not None and stepless >= (patience := _step_patience(progress)):
        return Reason(ReasonCode.NO_PROGRESS, _without_step(name, progress, patience))
    return None


def _patience(progress: Progress | None) -> float:
    if progress is None:
        return STEP_PATIENCE_SECONDS
    if progress.heartbeat is not None:
        return max(HEARTBEAT_PATIENCE_SECONDS, 3.0 * progress.heartbeat)
    return _step_patience(progress)


def _step_patience(progress: Progress) -> float:
    return STEP_PATIENCE_SECONDS if progress.total else STEPLESS_PATIENCE_SECONDS


def _without_heartbeat(name: str, progress: Progress | None) -> str:
    if progress is None:
        return (
            f"the pod of Job {name} runs, and its trainer has written nothing yet; {_advice(name)}"
        )
    return (
        f"the pod of Job {name} runs, but its trainer last reported at "
        f"{progress.updated:%H:%M:%S} UTC by its clock ({_reported(progress)}); {_advice(name)}"
    )


def _without_step(name: str, progress: Progress, patience: float) -> str:
    return (
        f"the trainer of Job {name} is alive but has completed no step for "
        f"{patience / 60:.0f} minutes ({_reported(progress)}); {_advice(name)}"
    )


def _reported(progress: Progress) -> str:
    parts = [progress.activity]
    if progress.epoch:
        parts.append(f"epoch {progress.epoch} of {progress.epochs}")
    if progress.total:
        parts.append(f"{progress.done} of {progress.total}")
    return ", ".join(parts)


def _advice(name: str) -> str:
    return (
        f"`kubectl logs job/{name}` shows what it does; if it hangs, delete its pod: the next "
        "one resumes from the last checkpoint"
    )


def _step(attempts: Attempts) -> tuple[Any, ...]:
    progress = attempts.progress
    if progress is None:
        return (attempts.number,)
    return attempts.number, progress.activity, progress.epoch, progress.done
