"""Scoring, shared by the jobs that evaluate a detector."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from detnas.architecture import Architecture
from detnas.records.progress import Progress
from detnas.records.results import GAMMA_EDGES, DetectorResult, Score, SubnetScore
from detnas.records.settings import Resolution
from detnas.teachers import Teacher
from detnas_trainer.bootstrap import Detection
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.data.draws import Sample
from detnas_trainer.evaluation import detect, find, ground_truth, score
from detnas_trainer.jobs.job import Job, log
from detnas_trainer.jobs.verbs.relative_latency import Latencies, with_latencies
from detnas_trainer.jobs.verbs.training import TrainingSummary
from detnas_trainer.openmmlab import TwoStageDetector
from detnas_trainer.ranks.group import from_first


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
    job.remaining.evaluating_pace.interrupted()
    with data.lasting_workers():
        return tuple(
            found_at(job, detector, data, resolution, name, by_shape=by_shape)[0]
            for resolution in resolutions
        )


def found_at(
    job: Job[Any],
    detector: TwoStageDetector,
    data: DetectionData,
    resolution: Resolution,
    name: str = "",
    *,
    by_shape: bool = True,
) -> tuple[Score, list[Detection]]:
    """Evaluate at a resolution; return the score and what was found.

    Raises:
        Interrupted: the process was asked to stop.
    """
    with job.activity("evaluating"):
        progress = _EvaluationProgress(job, resolution, len(data), name)
        batch = job.request.evaluation_batch
        found = find(detector, data, resolution, batch, progress.done, by_shape=by_shape)
        scored = from_first(partial(score, ground_truth(data), found, resolution))
    log.info("%s at %s: mAP %.4f", name or "detector", resolution, scored.map)
    return scored, found


def detect_at(
    job: Job[Any],
    detector: TwoStageDetector,
    data: DetectionData,
    samples: Sequence[Sample],
    name: str,
) -> list[Detection]:
    """What a detector finds in images of one size, in their order.

    Raises:
        Interrupted: the process was asked to stop.
    """
    job.remaining.evaluating_pace.interrupted()
    with job.activity("evaluating"):
        progress = _EvaluationProgress(job, samples[0].resolution, len(samples), name)
        return detect(detector, data, samples, job.request.evaluation_batch, progress.done)


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
    latencies: Latencies,
    **findings: Any,
) -> DetectorResult:
    """Score a detector at every resolution, publish its weights, and return the job's result.

    Args:
        job: whose result it is.
        detector: as trained.
        data: the validation split.
        trained: what its training says.
        architecture: its backbone.
        latencies: that are recorded with the scores.
        findings: further fields of the result.

    Raises:
        Interrupted: the process was asked to stop.
    """
    request = job.request
    found = score_at(job, detector, data, request.resolutions, by_shape=request.by_orientation)
    scores = with_latencies(found, latencies)
    weights = job.publish(
        detector.state_dict(),
        architecture=architecture.model_dump(mode="json"),
        classes=list(job.request.classes),
    )
    return job.result(
        DetectorResult,
        architecture=architecture,
        scores=scores,
        gammas=gamma_counts(detector.backbone),
        files={"weights": weights},
        **vars(trained),
        **findings,
    )


def gamma_counts(backbone: Any) -> dict[str, tuple[int, ...]]:
    """How many weights |γ| of a backbone's batch norms are in each interval, by stem and stage."""
    found: dict[str, list[Tensor]] = {}
    for name, module in backbone.named_modules():
        if isinstance(module, _BatchNorm):
            top = name.split(".")[0]
            stage = top.removeprefix("layer") if top.startswith("layer") else "stem"
            found.setdefault(stage, []).append(module.weight.detach().abs().cpu())
    return {stage: _counts(torch.cat(parts)) for stage, parts in found.items()}


def _counts(scales: Tensor) -> tuple[int, ...]:
    above = [int((scales >= low).sum()) for low in GAMMA_EDGES]
    return tuple(low - high for low, high in pairwise([*above, 0]))


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
