"""Scoring, shared by the jobs that evaluate a detector."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from detnas.architecture import Architecture
from detnas.records.progress import Progress
from detnas.records.results import DetectorResult, Score, SubnetScore
from detnas.records.settings import Resolution
from detnas.teachers import Teacher
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.evaluation import evaluate
from detnas_trainer.jobs.job import Job, log
from detnas_trainer.jobs.verbs.training import TrainingSummary
from detnas_trainer.openmmlab import TwoStageDetector


def score_at(
    job: Job[Any],
    detector: TwoStageDetector,
    data: DetectionData,
    resolutions: Sequence[Resolution],
    name: str = "",
    *,
    by_shape: bool = True,
) -> tuple[Score, ...]:
    """Evaluate at each of the resolutions, in batches of similar images or in the file's order.

    Raises:
        Interrupted: the process was asked to stop.
    """
    scores = []
    job.remaining.evaluating_pace.interrupted()
    with job.activity("evaluating"):
        for resolution in resolutions:
            progress = _EvaluationProgress(job, resolution, len(data), name)
            batch = job.request.evaluation_batch
            scores.append(
                evaluate(detector, data, resolution, batch, progress.done, by_shape=by_shape)
            )
            log.info("%s at %s: mAP %.4f", name or "detector", resolution, scores[-1].map)
    return tuple(scores)


def subnet_score(
    job: Job[Any],
    detector: TwoStageDetector,
    data: DetectionData,
    resolutions: Sequence[Resolution],
    name: str,
    subnet: Teacher,
) -> SubnetScore:
    """Evaluate a subnet of the pool, as a detector of its own, at each of the resolutions.

    Raises:
        Interrupted: the process was asked to stop.
    """
    by_shape = job.request.by_orientation
    scores = score_at(job, detector, data, resolutions, name, by_shape=by_shape)
    return SubnetScore(
        name=name,
        depths=subnet.depths,
        widths=tuple(map(str, subnet.widths)),
        scores=tuple(score.without_replicates for score in scores),
    )


def detector_result(
    job: Job[Any],
    detector: TwoStageDetector,
    data: DetectionData,
    trained: TrainingSummary,
    *,
    architecture: Architecture,
    **findings: Any,
) -> DetectorResult:
    """Score a detector at every resolution, publish its weights, and return the job's result.

    Raises:
        Interrupted: the process was asked to stop.
    """
    request = job.request
    scores = score_at(job, detector, data, request.resolutions, by_shape=request.by_orientation)
    weights = job.publish(
        detector.state_dict(),
        architecture=architecture.model_dump(mode="json"),
        classes=list(job.request.classes),
    )
    return job.result(
        DetectorResult,
        architecture=architecture,
        scores=scores,
        files={"weights": weights},
        **vars(trained),
        **findings,
    )


class _EvaluationProgress:
    def __init__(self, job: Job[Any], resolution: Resolution, images: int, name: str) -> None:
        self._job = job
        self._details: dict[str, object] = {"at": resolution} | ({"of": name} if name else {})
        self._pixels = resolution.pixels
        self._images = images
        self._finished = 0

    def done(self, images: int) -> None:
        job = self._job
        job.interruption.check()
        self._finished += images
        pixels = images * self._pixels
        job.remaining.evaluating = max(0.0, job.remaining.evaluating - pixels)
        job.remaining.evaluating_pace.advanced(pixels, job.clock())
        progress = Progress(
            activity="evaluating",
            done=min(self._finished, self._images),
            total=self._images,
            updated=datetime.now(UTC),
        )
        job.report(progress, **self._details)
