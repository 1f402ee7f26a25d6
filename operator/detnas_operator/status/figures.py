"""Jobs and detectors as the status lists them."""

from collections.abc import Iterator, Mapping
from typing import Any

from detnas.lifecycle.jobs import job_name
from detnas.lifecycle.status import DetectorStatus, SearchStatus
from detnas.plan.stages import JobId
from detnas.reasons import ReasonCode
from detnas.records.progress import Progress
from detnas.records.verbs import Verb
from detnas.resource.status import ActiveJobStatus, DetectorSummary
from detnas_operator.job_state.state import Failed, Running, Succeeded, Waiting
from detnas_operator.status.not_running import in_order
from detnas_operator.status.pass_result import ActiveJob, PassResult

Figures = Mapping[str, Any]

_NUMBERED = frozenset({Verb.POOL, Verb.EVALUATE, Verb.SUBNETS, Verb.EXTRACT})
_MAX_ESTIMATE_SECONDS = 1e10
"""Seconds; some three hundred years."""
_WAITING = "waiting: "


def active_jobs(result: PassResult, search: SearchStatus) -> Iterator[ActiveJobStatus]:
    """Yield the jobs in the order in which a search runs them, each with its last progress."""
    reported = {job.name: job.progress for job in search.active}
    for job_id in sorted(result.jobs, key=in_order):
        yield _active(job_id, result.jobs[job_id], reported.get(job_name(job_id)))


def active_trials(result: PassResult) -> int:
    """Count the Jobs of trials that have not ended."""
    return sum(
        job_id.verb.is_trial and not isinstance(job.state, Succeeded | Failed)
        for job_id, job in result.jobs.items()
    )


def waiting_activity(job: Figures) -> str:
    """Return what an active job of the status waits for; empty if it runs or starts."""
    activity = str(job.get("activity") or "")
    return activity if activity.startswith(_WAITING) else ""


def whole_seconds(seconds: float | None) -> int | None:
    """Return an estimate as the status has it; None if it is out of all bounds."""
    if seconds is None or not 0 <= seconds < _MAX_ESTIMATE_SECONDS:
        return None
    return round(seconds)


def detector_figures(
    detector: DetectorStatus, uri: str | None, trial: int | None = None
) -> dict[str, Any]:
    """Return a detector at its best resolution, as in the status.

    Args:
        detector: which.
        uri: of the folder with its files.
        trial: that it comes from.
    """
    tested = detector.on_test
    figures = DetectorSummary(
        h=detector.h,
        map=detector.map,
        flops=detector.flops,
        h_error=detector.h_error,
        map_error=detector.map_error,
        estimated_h=detector.estimated_h,
        resolution=str(detector.resolution),
        encoding=detector.encoding,
        parameters=detector.parameters,
        latency_ms=detector.latency.milliseconds if detector.latency else None,
        trial=trial,
        uri=uri,
        test_h=tested.h if tested else None,
        test_h_error=tested.h_error if tested else None,
        test_map=tested.map if tested else None,
        test_map_error=tested.map_error if tested else None,
    )
    return figures.model_dump(mode="json", by_alias=True, exclude_none=True)


def change(value: float, base: float) -> str | None:
    """Return by how much a cost differs from the base's, such as ``-41%``; None without a base."""
    if not base:
        return None
    percent = round(100 * (value / base - 1))
    return f"{percent:+d}%" if percent else "0%"


def latency_change(student: DetectorStatus, base: DetectorStatus) -> str | None:
    """Return the change of the latency that H counts; None if it counts FLOPs."""
    if student.latency is None or base.latency is None:
        return None
    return change(student.latency.milliseconds, base.latency.milliseconds)


def gain(student: Figures, base: Figures) -> str:
    """Compare a student of the status with the base, in words: on the test images if possible."""
    flops = change(student.get("flops", 0), base.get("flops", 0))
    h, mean_ap = ("testH", "testMap") if "testH" in student else ("h", "map")
    compared = [_compared("H", h, student, base), _compared("mAP", mean_ap, student, base)]
    return ", ".join([*compared, *([f"FLOPs {flops}"] if flops else [])])


def _compared(name: str, key: str, student: Figures, base: Figures) -> str:
    of_base = f" (base {base[key]})" if key in base else ""
    return f"{name} {student.get(key, 'unknown')}{of_base}"


def _active(job_id: JobId, job: ActiveJob, progress: Progress | None) -> ActiveJobStatus:
    # Progress of an attempt that has since stopped does not describe the next one.
    runs = isinstance(job.state, Running)
    return ActiveJobStatus(
        job=job.name,
        verb=str(job_id.verb),
        trial=job_id.number if job_id.verb in _NUMBERED else None,
        started=job.started,
        **_progress_fields(progress) if runs and progress else {"activity": _activity(job)},
    )


def _progress_fields(progress: Progress) -> dict[str, Any]:
    return {
        "activity": progress.activity,
        "done": progress.done,
        "total": progress.total,
        "epoch": progress.epoch,
        "epochs": progress.epochs,
        "loss": progress.loss,
        "seconds_left": whole_seconds(progress.seconds_left),
    }


def _activity(job: ActiveJob) -> str:
    match job.state:
        case Waiting(ReasonCode.STARTING) | Running():
            return "starting"
        case Waiting(ReasonCode.STOPPING):
            return "stopping"
        case Waiting(reason):
            return f"{_WAITING}{reason}"
        case Succeeded() | Failed():
            return "ending"
        case _:
            return "stopping"
