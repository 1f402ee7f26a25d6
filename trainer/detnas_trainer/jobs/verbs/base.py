"""The base job: train the base detector, or take it from a checkpoint, and score it."""

from pathlib import Path

from detnas.errors import UserError
from detnas.records.requests import BaseRequest
from detnas.records.results import DetectorResult
from detnas_trainer.data.draws import seed_of
from detnas_trainer.detector import build_detector
from detnas_trainer.detector_config import detector_config
from detnas_trainer.foreign import adapt, read_backbone, read_checkpoint
from detnas_trainer.jobs.job import Job, log
from detnas_trainer.jobs.named_files import local_file
from detnas_trainer.jobs.unchanged_inputs import check_weights
from detnas_trainer.jobs.verbs.relative_latency import relative_latencies
from detnas_trainer.jobs.verbs.scoring import detector_result
from detnas_trainer.jobs.verbs.training import device, load_data, train
from detnas_trainer.openmmlab import TwoStageDetector
from detnas_trainer.trainee import DetectorTrainee
from detnas_trainer.training.gradients import seed_everything


def base(job: Job[BaseRequest]) -> DetectorResult:
    """Train plainly, evaluate at every resolution, publish the weights."""
    request, data = job.request, load_data(job)
    latencies = relative_latencies(job, request.architecture, request.detector, data.val)
    with job.activity("building"):
        detector, notes = _detector(job)
    trained = train(job, DetectorTrainee(detector), data.train)
    return detector_result(
        job,
        detector,
        data.val,
        trained,
        architecture=request.architecture,
        latencies=latencies,
        notes=notes,
    )


def _detector(job: Job[BaseRequest]) -> tuple[TwoStageDetector, tuple[str, ...]]:
    request = job.request
    if request.weights is None and not request.training.epochs:
        raise UserError(
            "training.epochs is 0 and there are no weights",
            "give base.weights, or at least one epoch",
        )
    seed_everything(seed_of("initialisation", request.seed))
    detector = build_detector(
        request.architecture,
        request.detector,
        len(request.classes),
        zero_init_residual=request.zero_init_residual,
    )
    notes: tuple[str, ...] = ()
    if request.weights is not None:
        notes = _load_weights(request, request.weights, job.scratch, detector)
    detector.backbone.frozen_stages = request.frozen_stages
    detector.backbone.norm_eval = request.norm_eval
    return detector.to(device()), notes


def _load_weights(
    request: BaseRequest, weights: str, scratch: Path, detector: TwoStageDetector
) -> tuple[str, ...]:
    """Load the initial weights; what was done to them is returned for people, and logged."""
    is_whole = request.weights_part == "Detector"
    field = "base.weights" if is_whole else "base.backboneWeights"
    path = local_file(weights, scratch, field, "give a .pth or .safetensors file")
    check_weights(path, request.weights_sha256, f"{field} {weights}")
    wanted = detector_config(request.architecture, request.detector, len(request.classes))
    if is_whole:
        # Weights that do not fit entirely are no base, unless training follows.
        trained = bool(request.training.epochs)
        adapted = adapt(
            read_checkpoint(path),
            detector.state_dict(),
            request.classes,
            variant=request.detector.variant,
            configuration=wanted,
            trained=trained,
        )
        detector.load_state_dict(adapted.state)
    else:
        adapted = read_backbone(path, detector.backbone.state_dict(), wanted)
        detector.backbone.load_state_dict(adapted.state)
    for note in adapted.notes:
        log.warning("%s: %s", field, note)
    return adapted.notes
