"""Running jobs that make no progress: a pod that runs is no proof of it."""

from detnas.reasons import Reason, ReasonCode
from detnas.records.progress import Progress
from detnas_operator.lookups.progress_reader import MAX_PAUSE_SECONDS, ProgressReading

REPORTED_AFTER = 120.0
"""Seconds after its last heartbeat within which a stalled trainer is reported."""
BEATING = REPORTED_AFTER - MAX_PAUSE_SECONDS
"""Seconds without a change of the heartbeat: it may have stopped just after the read before."""
STEPPING = 600.0
"""Seconds in which a step must end, and in which an earlier trainer without a heartbeat writes."""
STEPLESS = 1800.0
"""The same for an earlier trainer that reports no steps, or has reported nothing yet."""


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
    if progress is not None and progress.total and stepless >= STEPPING:
        return Reason(ReasonCode.NO_PROGRESS, _without_step(name, progress))
    return None


def _patience(progress: Progress | None) -> float:
    if progress is not None and progress.heartbeat is not None:
        return max(BEATING, 3.0 * progress.heartbeat)
    return STEPPING if progress is not None and progress.total else STEPLESS


def _without_heartbeat(name: str, progress: Progress | None) -> str:
    if progress is None:
        return (
            f"the pod of job {name} runs, and its trainer has written nothing yet; {_advice(name)}"
        )
    return (
        f"the pod of job {name} runs, but its trainer last reported at "
        f"{progress.updated:%H:%M:%S} UTC by its clock ({_reported(progress)}); {_advice(name)}"
    )


def _without_step(name: str, progress: Progress) -> str:
    minutes = STEPPING / 60
    return (
        f"the trainer of job {name} is alive but has completed no step for {minutes:.0f} minutes "
        f"({_reported(progress)}); {_advice(name)}"
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
