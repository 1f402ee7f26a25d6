"""All requested files of a detector, each in its format and precision."""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch.export import ExportedProgram

from detnas.architecture import Architecture
from detnas.records.exports import ExportFormat, FilePrecision
from detnas.records.settings import Resolution
from detnas_trainer.openmmlab import TwoStageDetector
from detnas_trainer.portable.half_program import in_half
from detnas_trainer.portable.network import PortableDetector
from detnas_trainer.portable.quantisation import Inputs, write_int8
from detnas_trainer.portable.suppression import (
    Suppress,
    suppress_by_onnx,
    suppress_by_torchvision,
)
from detnas_trainer.portable.tracing import (
    trace,
    trace_fixed,
    write_onnx,
    write_program,
)

_SUFFIXES = {
    ExportFormat.ONNX: ".onnx",
    ExportFormat.OPENVINO: ".xml",
    ExportFormat.TORCH: ".pt2",
}


def file_name(form: ExportFormat, precision: FilePrecision) -> str:
    """Name of a file in its folder; that of 32 bits has the plain one."""
    end = "" if precision is FilePrecision.FP32 else f"-{precision.lower()}"
    return f"detector{end}{_SUFFIXES[form]}"


def all_files_of(path: Path) -> tuple[Path, ...]:
    """A file and what belongs to it: the weights of an OpenVINO IR are beside its .xml."""
    return (path, path.with_suffix(".bin")) if path.suffix == ".xml" else (path,)


def why_not(form: ExportFormat, architecture: Architecture) -> str:
    """Why a detector has no file of a format; empty if it has."""
    if form is ExportFormat.OPENVINO and architecture.deformable:
        return "OpenVINO does not read ONNX's DeformConv; take ONNX or torch.export"
    return ""


@dataclass(frozen=True)
class PortableWriter:
    """Writes a detector's files into a folder.

    Args:
        load: builds the detector, in evaluation mode, on the CPU.
        resolution: of its images.
        folder: to write into.
        scratch: for ONNX files that serve to write others; they are written once.
        calibration: returns the inputs of images, one by one, for INT8.
        fixed_shape: files take one image of the resolution, padded, and no other.
    """

    load: Callable[[], TwoStageDetector]
    resolution: Resolution
    folder: Path
    scratch: Path
    calibration: Callable[[], Iterable[Inputs]]
    fixed_shape: bool = False

    def write(self, form: ExportFormat, precision: FilePrecision) -> Path:
        """Write one file that `why_not` allows; of OpenVINO's two, the .xml is returned."""
        path = self.folder / file_name(form, precision)
        if form is ExportFormat.TORCH:
            half = precision is FilePrecision.FP16
            write_program(in_half(self._for_torch) if half else self._for_torch, path)
        elif form is ExportFormat.OPENVINO:
            self._write_ir(precision, path)
        else:
            shutil.copyfile(self._onnx(precision), path)
        return path

    def _write_ir(self, precision: FilePrecision, path: Path) -> None:
        import openvino

        # OpenVINO stores weights in 16 bits itself, and computes with what the device has.
        int8, half = precision is FilePrecision.INT8, precision is FilePrecision.FP16
        model = openvino.convert_model(self._onnx(precision)) if int8 else self._ir
        openvino.save_model(model, path, compress_to_fp16=half)

    def _onnx(self, precision: FilePrecision) -> Path:
        path = self.scratch / file_name(ExportFormat.ONNX, precision)
        if path.exists():
            return path
        if precision is FilePrecision.INT8:
            write_int8(self._onnx(FilePrecision.FP32), path, self.calibration())
        elif precision is FilePrecision.FP16:
            from detnas_trainer.portable.half_onnx import write_half  # onnx is an extra

            write_half(self._onnx(FilePrecision.FP32), path)
        else:
            write_onnx(self._for_onnx, path)
        return path

    @cached_property
    def _ir(self) -> Any:
        """OpenVINO's model in 32 bits; saving it, in 16 bits as well, leaves it as it is."""
        import openvino

        return openvino.convert_model(self._onnx(FilePrecision.FP32))

    @cached_property
    def _for_onnx(self) -> ExportedProgram:
        return self._program(suppress_by_onnx)

    @cached_property
    def _for_torch(self) -> ExportedProgram:
        return self._program(suppress_by_torchvision)

    def _program(self, suppress: Suppress) -> ExportedProgram:
        network = PortableDetector(self.load(), suppress)
        return (trace_fixed if self.fixed_shape else trace)(network, self.resolution)
