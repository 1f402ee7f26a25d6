"""Runs an exported file by its own runtime, which is imported only here and only if it is used."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detnas.errors import UserError
from detnas.exported.mmdet_folder import MmdetFolder
from detnas.optional_imports import require_module
from detnas.records.exports import ExportFormat


class RawDetections(NamedTuple):
    """What a file gives for a batch of N images: see `detnas.exported.description`."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]


RunFile = Callable[[NDArray[np.uint8], NDArray[np.float32]], RawDetections]
"""Takes ``images`` and ``sizes``."""


def open_file(path: Path, form: ExportFormat, threads: int | None = None) -> RunFile:
    """Load an exported file for this machine's CPU.

    Args:
        path: of the file; of an OpenVINO IR the .xml.
        form: its format.
        threads: that one run may use; by default what the runtime takes.

    Raises:
        UserError: the file or the package that runs it is missing.
    """
    if not path.is_file():
        raise UserError(f"{path} is no file", "give an exported detector, such as detector.onnx")
    return _OPENERS[form](path, threads)


def _open_onnx(path: Path, threads: int | None) -> RunFile:
    onnxruntime = require_module("onnxruntime", "running an ONNX file", "onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    if threads is not None:
        options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(images: NDArray[np.uint8], sizes: NDArray[np.float32]) -> RawDetections:
        outputs = session.run(list(RawDetections._fields), {"images": images, "sizes": sizes})
        return RawDetections(*outputs)

    return run


def _open_openvino(path: Path, threads: int | None) -> RunFile:
    openvino = require_module("openvino", "running an OpenVINO file", "openvino")
    # Without the hint it computes in bfloat16 where the processor can.
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)

    def run(images: NDArray[np.uint8], sizes: NDArray[np.float32]) -> RawDetections:
        outputs = compiled({"images": images, "sizes": sizes})
        # Copied: its arrays are overwritten by the next run.
        return RawDetections(*(np.array(outputs[name]) for name in RawDetections._fields))

    return run


def _open_torch(path: Path, threads: int | None) -> RunFile:
    torch = require_module("torch", "running a torch.export file", "torch")
    require_module("torchvision", "running a torch.export file", "torchvision")  # its operators
    if threads is not None:
        torch.set_num_threads(threads)
    module = torch.export.load(str(path)).module()

    def run(images: NDArray[np.uint8], sizes: NDArray[np.float32]) -> RawDetections:
        with torch.inference_mode():
            outputs = module(torch.from_numpy(images), torch.from_numpy(sizes))
        return RawDetections(*(output.numpy() for output in outputs))

    return run


def _open_mmdet(path: Path, threads: int | None) -> RunFile:
    run = MmdetFolder(path, threads)
    return lambda images, sizes: RawDetections(*run(images, sizes))


_OPENERS: dict[ExportFormat, Callable[[Path, int | None], RunFile]] = {
    ExportFormat.ONNX: _open_onnx,
    ExportFormat.OPENVINO: _open_openvino,
    ExportFormat.TORCH: _open_torch,
    ExportFormat.MMDET: _open_mmdet,
}
