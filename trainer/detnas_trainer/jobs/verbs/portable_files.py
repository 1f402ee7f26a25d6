"""The files of an export that need no mmdet: written, and each measured as it will be run."""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from detnas.data_identity.files import image_folder
from detnas.exported import DESCRIPTION, FolderDescription, InputForm, save_description
from detnas.exported.measuring import MeasuredFile
from detnas.records.exports import ExportedFile, ExportFormat, FilePrecision
from detnas.records.progress import Progress
from detnas.records.requests import ExportRequest
from detnas.records.results import Score
from detnas_trainer.bootstrap import Detection
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.detector import load_detector
from detnas_trainer.exporting import CHECKPOINT
from detnas_trainer.jobs.calibration import calibration_inputs
from detnas_trainer.jobs.job import Job, log
from detnas_trainer.jobs.scored_images import ScoredImages, difference_error, scored_images
from detnas_trainer.openmmlab import TwoStageDetector
from detnas_trainer.portable import (
    LEAST_TRACED_SIDE,
    PortableWriter,
    all_files_of,
    file_name,
    padded,
    why_not,
)
from detnas_trainer.portable.measuring import MeasuredOn, MeasuringProcess
from detnas_trainer.training.interruption import Interrupted

_LONGEST_REASON = 500
"""Characters of a runtime's or an exporter's message that the result keeps; the log has it all."""

_RUNTIMES = {
    ExportFormat.TORCH: "torch",
    ExportFormat.ONNX: "onnxruntime",
    ExportFormat.OPENVINO: "OpenVINO",
}

_ORDER = (ExportFormat.TORCH, ExportFormat.ONNX, ExportFormat.OPENVINO)
"""The slowest runtime scores its files while all others are written."""


@dataclass(frozen=True)
class PortableFiles:
    """What was written beside mmdet's files.

    Attributes:
        described: every detector of the folder, mmdet's first; none if no file was requested.
        paths: of the files that are new.
        message: what a reader of the result should know; empty if nothing is unusual.
    """

    described: tuple[ExportedFile, ...]
    paths: list[Path]
    message: str


@dataclass(frozen=True)
class FoundByMmdet:
    """What the detector in mmdet has found in the validation images.

    Attributes:
        data: the images.
        score: in all of them.
        detections: in all of them.
    """

    data: DetectionData
    score: Score
    detections: Sequence[Detection]


def write_files(
    job: Job[ExportRequest],
    folder: Path,
    state: Mapping[str, Tensor],
    calibration: Sequence[str],
    found: FoundByMmdet,
) -> PortableFiles:
    """Write and measure the requested files, if any; describe the folder in `detector.json`.

    A file that cannot be written or run is no reason to lose mmdet's folder: the message says so.

    Args:
        job: whose request names them.
        folder: with mmdet's files.
        state: the detector's weights.
        calibration: names of the training images for INT8.
        found: by mmdet's detector.

    Raises:
        Interrupted: the process was asked to stop.
    """
    settings, described = job.request.files, _description(job.request, folder, found)
    if settings is None:
        return PortableFiles((), [save_description(folder, described)], "")
    images = scored_images(found.data, settings.scored_images)
    work = _Work(job, folder, described)
    on = _measured_on(job, images)
    input_form, scratch = work.described.input, job.scratch / "portable"
    scratch.mkdir()
    writer = PortableWriter(
        load=partial(_detector, job.request, state),
        resolution=job.request.resolution,
        folder=folder,
        scratch=scratch,
        calibration=lambda: calibration_inputs(
            job.request.data, input_form, _file(job.request, ExportFormat.ONNX), calibration
        ),
        fixed_shape=settings.fixed_shape,
    )
    with ExitStack() as running:
        processes = [  # the files of a format are scored while those of the next are written
            running.enter_context(MeasuringProcess(written, on))
            for form in sorted({form for form, _ in settings.wanted}, key=_ORDER.index)
            if (written := work.write(writer, form))
        ]
        measured = work.measured(processes, len(images))
    by_mmdet = found.score
    if len(images) < len(found.data):
        by_mmdet = images.score(found.detections, job.request.resolution)
    for name, one in measured.items():
        work.describe(name, one, images, by_mmdet)
    return work.finished()


def _description(request: ExportRequest, folder: Path, found: FoundByMmdet) -> FolderDescription:
    """The description of a folder that has mmdet's files only."""
    size, checkpoint = request.resolution, folder / CHECKPOINT
    by_mmdet = ExportedFile(
        path=CHECKPOINT,
        format=ExportFormat.MMDET,
        bytes=checkpoint.stat().st_size,
        map=found.score.map,
        map_error=found.score.map_error,
        images=len(found.data),
    )
    return FolderDescription(
        classes=request.classes,
        input=InputForm(
            long_side=max(size.width, size.height),
            short_side=min(size.width, size.height),
            divisor=request.detector.pad_divisor,
        ),
        max_detections=request.detector.boxes.max_per_image,
        files=(by_mmdet,),
    )


def _detector(request: ExportRequest, state: Mapping[str, Tensor]) -> TwoStageDetector:
    classes = len(request.classes)
    return load_detector(request.architecture, request.detector, classes, state).eval()


def _file(request: ExportRequest, form: ExportFormat) -> ExportedFile:
    """A file of a format: what shape its input has."""
    assert request.files is not None
    if not request.files.fixed_shape:
        least = LEAST_TRACED_SIDE if form is ExportFormat.TORCH else 1
        return ExportedFile(path="", format=form, least_side=least)
    size = request.resolution
    height, width = padded(size.height, size.width, request.detector.pad_divisor)
    return ExportedFile(path="", format=form, batch=1, height=height, width=width)


def _does_not_run(form: ExportFormat) -> str:
    """What the folder, which may be published, says of a file; a runtime's words name folders."""
    return (
        f"it does not run in {_RUNTIMES[form]} on the machine that exported it; the export's log "
        "says why"
    )


def _without_folders(text: str) -> str:
    """A message in which files have their bare names."""
    return re.sub(r"(?<![\w/:.])(?:[\\/][\w.+@~-]+)+[\\/](?=[\w.+@~-])", "", text)


def _measured_on(job: Job[ExportRequest], images: ScoredImages) -> MeasuredOn:
    path, request = job.scratch / "val.json", job.request
    content = images.annotations(image_folder(request.data, "val"), request.classes)
    path.write_text(json.dumps(content), encoding="utf-8")
    return MeasuredOn(path, torch.get_num_threads(), job.scratch)


@dataclass
class _Work:
    """The folder while its files are written and measured.

    Attributes:
        job: whose request names the files.
        folder: to write into.
        described: the folder so far.
        remarks: on its files, for the result.
        paths: of what is new in it.
    """

    job: Job[ExportRequest]
    folder: Path
    described: FolderDescription
    remarks: list[str] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)

    def write(self, writer: PortableWriter, form: ExportFormat) -> list[Path]:
        """Write all files of a format; return those that could be written."""
        settings = self.job.request.files
        assert settings is not None
        precisions = [precision for one, precision in settings.wanted if one is form]
        written = [
            path
            for precision in precisions
            if (path := self._write(writer, form, precision)) is not None
        ]
        save_description(self.folder, self.described)  # the process that measures them reads it
        return written

    def _write(
        self, writer: PortableWriter, form: ExportFormat, precision: FilePrecision
    ) -> Path | None:
        name, reason = file_name(form, precision), why_not(form, self.job.request.architecture)
        self._report(f"writing {name}")
        if not reason:
            try:
                with self.job.activity("writing"):
                    path = writer.write(form, precision)
            except Interrupted:
                raise
            except Exception as error:  # noqa: BLE001 - an exporter raises anything
                log.warning("%s cannot be written", name, exc_info=True)
                reason = _without_folders(f"{type(error).__name__}: {error}"[:_LONGEST_REASON])
            else:
                self._add(path, form, precision)
                return path
        self.remarks.append(f"{name} is not written: {reason}")
        return None

    def _add(self, path: Path, form: ExportFormat, precision: FilePrecision) -> None:
        described = {
            "path": path.name,
            "precision": precision,
            "bytes": sum(one.stat().st_size for one in all_files_of(path)),
        }
        file = _file(self.job.request, form).model_copy(update=described)
        self.paths += all_files_of(path)
        self._with(*self.described.files, file)

    def measured(
        self, processes: Sequence[MeasuringProcess], images: int
    ) -> dict[str, MeasuredFile]:
        """What the processes measure; they time their files one after the other, undisturbed."""
        found: dict[str, MeasuredFile] = {}
        with self.job.activity("measuring"):
            for process in processes:
                process.follow(partial(self._report, f"scoring {process.name}", images))
            for process in processes:
                self._report(f"timing {process.name}")
                found |= process.measured(partial(self._report, f"scoring {process.name}", images))
        return found

    def describe(
        self, name: str, found: MeasuredFile, images: ScoredImages, by_mmdet: Score
    ) -> None:
        """Put into the description what was measured on a file."""
        file = self.described.file(name)
        if found.failure or found.latency is None:
            log.warning("%s does not run: %s", name, found.failure)
            file = file.model_copy(update={"remark": _does_not_run(file.format)})
            reason = _without_folders(found.failure[-_LONGEST_REASON:])
            self.remarks.append(f"{name}: {file.remark}: {reason}")
        else:
            file = self._scored(file, found, images, by_mmdet)
            log.info("%s: mAP %.4f, %.1f ms", name, file.map, found.latency.median)
            if file.remark:
                self.remarks.append(f"{name}: {file.remark}")
        self._with(*(file if one.path == name else one for one in self.described.files))

    def _scored(
        self, file: ExportedFile, found: MeasuredFile, images: ScoredImages, by_mmdet: Score
    ) -> ExportedFile:
        settings = self.job.request.files
        assert settings is not None
        scored = images.score([*found.detections], self.job.request.resolution)
        lost, remark = by_mmdet.map - scored.map, ""
        if lost > settings.tolerance:
            remark = f"its mAP is {lost:.4f} below the detector's, more than {settings.tolerance}"
        return file.model_copy(
            update={
                "map": scored.map,
                "map_error": scored.map_error,
                "images": len(images),
                "difference": -lost,
                "difference_error": difference_error(scored, by_mmdet),
                "latency": found.latency,
                "remark": remark,
            }
        )

    def finished(self) -> PortableFiles:
        """The folder with its final description."""
        for remark in self.remarks:
            log.warning("%s", remark)
        save_description(self.folder, self.described)
        paths = [self.folder / DESCRIPTION, *self.paths]
        return PortableFiles(self.described.files, paths, "; ".join(self.remarks))

    def _with(self, *files: ExportedFile) -> None:
        self.described = self.described.model_copy(update={"files": files})

    def _report(self, activity: str, total: int = 0, done: int = 0) -> None:
        """Say what is done.

        Raises:
            Interrupted: the process was asked to stop.
        """
        self.job.interruption.check()
        now = datetime.now(UTC)
        self.job.report(Progress(activity=activity, done=done, total=total, updated=now))
