"""The export job: write the student as a folder for stock mmdet, load it, score and time it."""

from pathlib import Path

from detnas.records.artifacts import Artifact
from detnas.records.requests import ExportRequest
from detnas.records.results import ExportResult, Latency, Score
from detnas.store.durable_files import sha256_of
from detnas_trainer.bootstrap import Detection
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.detector import detector_state, load_detector
from detnas_trainer.exporting import CHECKPOINT, CONFIG, README, write_folder
from detnas_trainer.jobs.calibration import fetch_export_data
from detnas_trainer.jobs.job import Job, log
from detnas_trainer.jobs.verbs.comparing import write_comparison, write_predictions
from detnas_trainer.jobs.verbs.portable_files import FoundByMmdet, write_files
from detnas_trainer.jobs.verbs.scoring import found_at
from detnas_trainer.jobs.verbs.training import device
from detnas_trainer.latency import TimedDetector, measure_latency
from detnas_trainer.model_card import model_card
from detnas_trainer.openmmlab import TwoStageDetector, load_exported

_TOLERANCE = 1e-3


class ExportMismatchError(RuntimeError):
    """The exported folder does not score what the record says."""


def export(job: Job[ExportRequest]) -> ExportResult:
    """Publish the folder once stock mmdet has loaded it and reached the recorded mAP.

    Raises:
        ExportMismatchError: it scores differently.
    """
    calibration = fetch_export_data(job)
    request = job.request
    with job.activity("loading"):
        state = detector_state(job.fetch(request.weights).state)
        data = DetectionData(request.data, "val", request.classes)
    folder = job.scratch / "export"
    folder.mkdir()
    with job.activity("writing"):
        files = write_folder(request, state, folder)
    with job.activity("loading"):
        student = load_exported(folder / CONFIG, folder / CHECKPOINT, str(device()))
    job.remaining.evaluating = len(data) * request.resolution.pixels
    reached, detections = _checked_score(job, student, data)
    base = student if request.is_base else _base(job)
    with job.activity("writing"):
        files += write_predictions(folder, detections, data)
    picture = None if request.is_base else write_comparison(job, folder, detections, base, data)
    if picture is not None:
        files.append(picture)
    with job.activity("timing"):
        latencies = _latencies(request, student, base, data)
    found = FoundByMmdet(data, reached, detections)
    portable = write_files(job, folder, state, calibration, found)
    files += portable.paths
    card = model_card(request, picture.name if picture else "", portable.described)
    (folder / README).write_text(card, encoding="utf-8")
    with job.activity("publishing"):
        job.check_unfinished()  # the files of the attempt that ended the job are not replaced
        published = {path.name: _publish(job, path) for path in files}
    log.info("exported to %s/%s", job.folder.store.uri, job.folder.key)
    return job.result(
        ExportResult,
        message=portable.message,
        exported=portable.described,
        map=reached.map,
        student_latency=latencies[0],
        base_latency=latencies[1],
        base_latency_same_resolution=latencies[2],
        files=published,
    )


def _checked_score(
    job: Job[ExportRequest], student: TwoStageDetector, data: DetectionData
) -> tuple[Score, list[Detection]]:
    """The score of the exported detector, and what it has found.

    Raises:
        ExportMismatchError: it is not what the record says.
    """
    request, found = job.request, []
    # Records of earlier versions were scored in the order of the file.
    for by_shape in (True, False):
        score, detections = found_at(
            job, student, data, request.resolution, "exported detector", by_shape=by_shape
        )
        if abs(score.map - request.expected_map) <= _TOLERANCE:
            return score, detections
        found.append(f"{score.map:.4f}")
    raise ExportMismatchError(
        f"the exported detector reaches mAP {found[0]} at {request.resolution} ({found[1]} in the "
        f"order of the annotation file), the record says {request.expected_map:.4f}"
    )


def _latencies(
    request: ExportRequest,
    student: TwoStageDetector,
    base: TwoStageDetector,
    data: DetectionData,
) -> list[Latency]:
    """Of the student, and of the base at its own size and at the student's."""
    wanted = [
        TimedDetector(student, request.resolution),
        TimedDetector(base, request.base_resolution),
        TimedDetector(base, request.resolution),
    ]
    contestants = list(dict.fromkeys(wanted))  # measured twice, one detector would seem to be two
    measured = dict(zip(contestants, measure_latency(contestants, data), strict=True))
    return [measured[one] for one in wanted]


def _base(job: Job[ExportRequest]) -> TwoStageDetector:
    request = job.request
    return load_detector(
        request.base,
        request.base_detector or request.detector,
        len(request.classes),
        detector_state(job.fetch(request.base_weights).state),
    ).to(device())


def _publish(job: Job[ExportRequest], path: Path) -> Artifact:
    """Store a file under its own name, by which people copy it.

    Attempts differ in latencies, and so in files that state them: a later one replaces all files of
    an earlier one that has ended without a result.
    """
    key = f"{job.folder.key}/{path.name}"
    job.folder.store.upload_file(key, path)
    return Artifact(key=key, size=path.stat().st_size, sha256=sha256_of(path))
