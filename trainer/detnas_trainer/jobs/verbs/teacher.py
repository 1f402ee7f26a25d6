"""A teacher from the pool, computed once on this machine for all jobs that it teaches."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from detnas.architecture import Architecture
from detnas.records.requests import EvaluationRequest, Pool, PoolLayout
from detnas.records.settings import DetectorShape
from detnas.store.cache import default_cache_folder
from detnas.teachers import Teacher
from detnas_trainer.data.detection_data import Batch, DetectionData, batches
from detnas_trainer.data.draws import statistics_samples
from detnas_trainer.detector import load_detector
from detnas_trainer.distillation import frozen_teacher
from detnas_trainer.jobs.job import Job, log
from detnas_trainer.jobs.verbs.training import device
from detnas_trainer.openmmlab import TwoStageDetector
from detnas_trainer.ranks.group import all_ranks, local_rank, own_share
from detnas_trainer.supernet import extract_teacher
from detnas_trainer.weights import WeightsError, load_weights, save_weights


def load_teacher(
    job: Job[Any], pool: Pool, teacher: Teacher, data: DetectionData
) -> TwoStageDetector:
    """The teacher as a detector in evaluation mode that no gradient reaches.

    Its batch norm statistics depend on (pool, teacher) only, so they are kept beside this
    machine's copies of the store's files.
    """
    request: EvaluationRequest = job.request
    path = default_cache_folder() / f"teacher-{_digest(request, pool, teacher)}.safetensors"
    cached = _cached(request, pool, teacher, path)
    # A machine that lacks it has the ranks of all take part: they share its batches.
    detector = cached if all_ranks(cached is not None) else None
    if detector is not None:
        path.touch()  # the cache deletes the least recently used first
    else:
        state = on_device(job.fetch(pool.weights).state)
        samples = statistics_batches(request, pool.seed, pool.bn_images, data)
        detector = own_detector(job, state, pool, teacher, samples)
        if local_rank() == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_weights(path, detector.state_dict())
    return frozen_teacher(detector.to(device()))


def own_detector(
    job: Job[Any],
    state: Mapping[str, Tensor],
    pool: PoolLayout,
    subnet: Teacher,
    samples: Iterator[Batch],
) -> TwoStageDetector:
    """A subnet of the pool as a frozen detector with its own batch norm statistics.

    Args:
        job: whose request says what the detector is.
        state: the pool's weights, on this process's device.
        pool: how they are laid out.
        subnet: which.
        samples: training images for the statistics, of `statistics_batches`.
    """
    request: EvaluationRequest = job.request
    with job.activity("teacher"):
        classes = len(request.classes)
        detector = extract_teacher(state, pool, subnet, request.detector, classes, samples)
        return detector.to(device())


def subnet_form(
    request: EvaluationRequest, pool: PoolLayout, subnet: Teacher
) -> tuple[Architecture, DetectorShape]:
    """Backbone of a subnet as a detector of its own, and shape of its neck and heads."""
    neck = {"neck": pool.supernet.neck_width(subnet)}
    return pool.supernet.architecture(subnet), request.detector.model_copy(update=neck)


def on_device(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights on this process's device."""
    return {name: tensor.to(device()) for name, tensor in state.items()}


def statistics_batches(
    request: EvaluationRequest, seed: int, images: int, data: DetectionData
) -> Iterator[Batch]:
    """Training images for the batch norms, a batch at each of the request's resolutions.

    Each rank gets its share of the batches.
    """
    groups = data.groups(request.by_orientation)
    samples = statistics_samples(seed, groups, images, request.resolutions)
    return batches(data, own_share(samples), workers=0)


def _cached(
    request: EvaluationRequest, pool: Pool, teacher: Teacher, path: Path
) -> TwoStageDetector | None:
    try:
        return load_detector(
            pool.supernet.architecture(teacher),
            request.detector,
            len(request.classes),
            load_weights(path).state,
            neck=pool.supernet.neck_width(teacher),
        )
    except FileNotFoundError:
        return None
    except WeightsError as error:
        log.warning("cached teacher ignored: %s", error)
        return None


def _digest(request: EvaluationRequest, pool: Pool, teacher: Teacher) -> str:
    parts = [
        pool.model_dump_json(),
        teacher.model_dump_json(),
        request.data.model_dump_json(),
        list(request.annotations),
        request.image_listing.sha256 if request.image_listing else "",
        request.detector.model_dump_json(),
        [str(resolution) for resolution in request.resolutions],
        list(request.classes),
    ]
    if request.by_orientation:
        parts.append("by orientation")
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
