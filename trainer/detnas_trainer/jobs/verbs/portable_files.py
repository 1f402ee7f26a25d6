"""The files of an export that need no mmdet: written, and each measured in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from detnas.data_identity.files import find_image, image_folder
from detnas.exported import (
    DESCRIPTION,
    FolderDescription,
    InputForm,
    prepare,
    read_image,
    save_description,
)
from detnas.exported.measuring import Measured
from detnas.records.exports import ExportedFile, ExportFormat, FilePrecision
from detnas.records.progress import Progress
from detnas.records.requests import ExportRequest
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.detector import load_detector
from detnas_trainer.evaluation import ground_truth, score
from detnas_trainer.exporting import CHECKPOINT
from detnas_trainer.jobs.job import Job, log
from detnas_trainer.openmmlab import TwoStageDetector
from detnas_trainer.portable import (
    LEAST_TRACED_SIDE,
    PortableWriter,
    all_files_of,
    file_name,
    why_not,
)
from detnas_trainer.portable.quantisation import Inputs
from detnas_trainer.training.interruption import Interrupted


class MeasuringError(RuntimeError):
    """An exported file could not be run by its own runtime."""


@dataclass(frozen=True)
class PortableFiles:
    """What was written beside mmdet's files.

    Attributes:
        described: every detector of the folder, mmdet's first.
        paths: of the files that are new.
        message: what a reader of the result should know; empty if nothing is unusual.
    """

    described: tuple[ExportedFile, ...]
    paths: list[Path]
    message: str


def write_files(
    job: Job[ExportRequest],
    folder: Path,
    state: Mapping[str, Tensor],
    data: DetectionData,
    reached: float,
) -> PortableFiles:
    """Write and measure the requested files; describe them in `detector.json`.

    A file that cannot be written or run is no reason to lose mmdet's folder: the message says so.

    Args:
        job: whose request names them.
        folder: with mmdet's files.
        state: the detector's weights.
        data: the validation split.
        reached: mAP of mmdet's detector.

    Raises:
        Interrupted: the process was asked to stop.
    """
    scratch = job.scratch / "portable"
    scratch.mkdir()
    work = _Work(job, folder, scratch, state, data, _description(job.request, folder, reached))
    remarks, paths = [], [folder / DESCRIPTION]
    for form, precision in work.settings.wanted:
        name = file_name(form, precision)
        reason = why_not(form, job.request.architecture)
        try:
            file = None if reason else work.add(form, precision)
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - an exporter raises anything
            log.warning("%s cannot be written", name, exc_info=True)
            file, reason = None, f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
        if file is None:
            remarks.append(f"{name} is not written: {reason}")
            continue
        paths += all_files_of(folder / name)
        if file.remark:
            remarks.append(f"{name}: {file.remark}")
    for remark in remarks:
        log.warning("%s", remark)
    save_description(folder, work.described)
    return PortableFiles(work.described.files, paths, "; ".join(remarks))


_LONGEST_REASON = 500
"""Characters of an exporter's message that the result keeps; the log has it all."""


def _description(request: ExportRequest, folder: Path, reached: float) -> FolderDescription:
    """The description of a folder that has mmdet's files only."""
    size, checkpoint = request.resolution, folder / CHECKPOINT
    return FolderDescription(
        classes=request.classes,
        input=InputForm(
            long_side=max(size.width, size.height),
            short_side=min(size.width, size.height),
            divisor=request.detector.pad_divisor,
        ),
        max_detections=request.detector.boxes.max_per_image,
        files=(
            ExportedFile(
                path=CHECKPOINT,
                format=ExportFormat.MMDET,
                bytes=checkpoint.stat().st_size,
                map=reached,
            ),
        ),
    )


class _Work:
    """Writes and measures one file after the other.

    Args:
        job: whose request names them.
        folder: to write into.
        scratch: for what is not published.
        state: the detector's weights.
        data: the validation split.
        described: the folder so far.
    """

    def __init__(
        self,
        job: Job[ExportRequest],
        folder: Path,
        scratch: Path,
        state: Mapping[str, Tensor],
        data: DetectionData,
        described: FolderDescription,
    ) -> None:
        request = job.request
        assert request.files is not None
        self.settings, self.described = request.files, described
        self._job, self._folder, self._data = job, folder, data
        self._annotations = scratch / "val.json"
        content = json.dumps(_annotations(request, data))
        self._annotations.write_text(content, encoding="utf-8")
        images = self.settings.calibration_images
        self._writer = PortableWriter(
            load=lambda: _detector(request, state),
            resolution=request.resolution,
            folder=folder,
            scratch=scratch,
            calibration=lambda: _calibration(request, described.input, images),
        )

    def add(self, form: ExportFormat, precision: FilePrecision) -> ExportedFile:
        """Write and measure one file."""
        with self._job.activity("writing"):
            path = self._writer.write(form, precision)
        size = sum(one.stat().st_size for one in all_files_of(path))
        file = ExportedFile(
            path=path.name,
            format=form,
            precision=precision,
            bytes=size,
            least_side=LEAST_TRACED_SIDE if form is ExportFormat.TORCH else 1,
        )
        # The process that measures it finds it in the description.
        save_description(self._folder, _with_file(self.described, file))
        with self._job.activity("measuring"):
            measured = _measured(self._job, file, path, self._annotations, self._data)
        self.described = _with_file(self.described, measured)
        return measured


def _with_file(described: FolderDescription, file: ExportedFile) -> FolderDescription:
    return described.model_copy(update={"files": (*described.files, file)})


def _detector(request: ExportRequest, state: Mapping[str, Tensor]) -> TwoStageDetector:
    classes = len(request.classes)
    return load_detector(request.architecture, request.detector, classes, state).eval()


def _annotations(request: ExportRequest, data: DetectionData) -> dict[str, object]:
    """The validation split as the reader understands it, with the images' absolute paths."""
    content = dict(ground_truth(data).dataset)
    folder = image_folder(request.data, "val").absolute()
    split = data.split
    content["images"] = [
        {"id": number, "file_name": str(find_image(folder, name))}
        for number, name in zip(split.image_numbers, split.files, strict=True)
    ]
    content["categories"] = [
        {"id": number, "name": name}
        for number, name in zip(split.category_numbers, request.classes, strict=True)
    ]
    return content


def _calibration(request: ExportRequest, form: InputForm, count: int) -> Iterator[Inputs]:
    """Training images, evenly spread over the split."""
    data = DetectionData(request.data, "train", request.classes)
    folder, names = image_folder(request.data, "train"), list(data.split.files)
    any_size = ExportedFile(path="", format=ExportFormat.ONNX)
    for name in names[:: max(1, len(names) // count)][:count]:
        image = prepare(read_image(find_image(folder, name)), form, any_size)
        yield {"images": image.pixels[None], "sizes": np.array([image.size], np.float32)}


def _measured(
    job: Job[ExportRequest],
    file: ExportedFile,
    path: Path,
    annotations: Path,
    data: DetectionData,
) -> ExportedFile:
    """The file with its mAP, its latency and, if it lost too much, a remark."""
    settings = job.request.files
    assert settings is not None
    try:
        found = _measure(job, path, annotations, len(data))
    except MeasuringError as error:
        return file.model_copy(update={"remark": f"it does not run by itself: {error}"})
    scored = score(ground_truth(data), [*found.detections], job.request.resolution)
    lost = job.request.expected_map - scored.map
    remark = ""
    if lost > settings.tolerance:
        remark = f"its mAP is {lost:.4f} below the detector's, more than {settings.tolerance}"
    log.info("%s: mAP %.4f, %.1f ms", file.path, scored.map, found.latency.median)
    return file.model_copy(
        update={
            "map": scored.map,
            "map_error": scored.map_error,
            "latency": found.latency,
            "remark": remark,
        }
    )


def _measure(job: Job[ExportRequest], path: Path, annotations: Path, images: int) -> Measured:
    """Run a file over the validation images in a new process, which reports each image.

    Raises:
        MeasuringError: the process fails.
        Interrupted: this process was asked to stop.
    """
    with TemporaryDirectory(dir=job.scratch) as scratch:
        target, errors = Path(scratch) / "measured.json", Path(scratch) / "errors.txt"
        command = [sys.executable, "-m", "detnas.exported.measuring", str(path)]
        options = ["--annotations", annotations, "--images", "/", "--to", target]
        threads = ["--threads", str(torch.get_num_threads())]
        with (
            errors.open("wb") as messages,
            subprocess.Popen(
                [*command, *map(str, options), *threads],
                stdout=subprocess.PIPE,
                stderr=messages,
                text=True,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
            ) as process,
        ):
            try:
                _follow(job, process, path.name, images)
            finally:
                process.kill()  # without effect once it has ended
        if process.returncode != 0:
            said = errors.read_text(errors="replace").strip()
            raise MeasuringError(said[-_LONGEST_REASON:])
        return Measured.model_validate_json(target.read_bytes())


def _follow(
    job: Job[ExportRequest], process: "subprocess.Popen[str]", name: str, images: int
) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        job.interruption.check()
        if not line.strip().isdigit():  # a runtime's own remark
            continue
        now = datetime.now(UTC)
        activity = f"scoring {name}"
        job.report(Progress(activity=activity, done=int(line), total=images, updated=now))
    process.wait()
