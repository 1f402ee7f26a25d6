"""Jobs whose pods run and that make no progress: silence is not taken for work."""

from detnas.reasons import Reason, ReasonCode
from detnas.records.progress import Progress
from detnas_operator.lookups.progress_reader import LONGEST_PAUSE, ProgressReading

TOLD_AFTER = 120.0
"""Seconds after its last heartbeat within which a silent trainer is reported."""
BEATING = TOLD_AFTER - LONGEST_PAUSE
"""Seconds for which a heartbeat stands still: it may have stopped just after the read before."""
STEPPING = 600.0
"""Seconds in which a step must end, and in which an earlier trainer without a heartbeat writes."""
STEPLESS = 1800.0
"""The same where an earlier trainer has no steps to tell, or has told nothing yet."""


def silence(name: str, heard: ProgressReading | None, ran_since: float) -> Reason | None:
    """Return why a Job that runs seems to hang; none where it does not.

    Args:
        name: of the Job.
        heard: what it wrote; none while nobody has read that.
        ran_since: when its pods were first seen to run without a break, on the clock of ``heard``.
    """
    if heard is None:
        return None
    progress = heard.attempts.progress
    # Up to the last read: while the store does not answer, nothing is known of the job.
    quiet = heard.read - max(heard.changed, ran_since)
    stands = heard.read - max(heard.stepped, ran_since)
    if quiet >= _patience(progress):
        return Reason(ReasonCode.NO_PROGRESS, _is_silent(name, progress))
    if progress is not None and progress.total and stands >= STEPPING:
        return Reason(ReasonCode.NO_PROGRESS, _stands_still(name, progress))
    return None


def _patience(progress: Progress | None) -> float:
    if progress is not None and progress.heartbeat is not None:
        return max(BEATING, 3.0 * progress.heartbeat)
    return STEPPING if progress is not None and progress.total else STEPLESS


def _is_silent(name: str, progress: Progress | None) -> str:
    if progress is None:
        return (
            f"the pod of job {name} runs, and its trainer has written nothing yet; {_advice(name)}"
        )
    return (
        f"the pod of job {name} runs, but its trainer was last heard of at "
        f"{progress.updated:%H:%M:%S} UTC by its clock ({_last_heard(progress)}); {_advice(name)}"
    )


def _stands_still(name: str, progress: Progress) -> str:
    minutes = STEPPING / 60
    return (
        f"the trainer of job {name} is alive but has completed no step for {minutes:.0f} minutes "
        f"({_last_heard(progress)}); {_advice(name)}"
    )


def _last_heard(progress: Progress) -> str:
    parts = [progress.activity]
    if progress.epoch:
        parts.append(f"epoch {progress.epoch} of {progress.epochs}")
    if progress.total:
        parts.append(f"{progress.done} of {progress.total}")
    return ", ".join(parts)


def _advice(name: str) -> str:
    return (
        f"`kubectl logs job/{name}` shows what it does; where it hangs, delete its pod: the next "
        "one goes on from the last checkpoint"
    )
