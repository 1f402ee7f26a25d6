"""From the detector's module to a program of `torch.export`, and from that to files."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule

from detnas.records.settings import Resolution
from detnas_trainer.portable.network import OUTPUTS, PortableDetector
from detnas_trainer.portable.suppression import onnx_translations

INPUTS = ("images", "sizes")
_OPSET = 20
"""The first with DeformConv is 19; OpenVINO and onnxruntime read 20 since 2024."""

LEAST_TRACED_SIDE = 65
"""Pixels: of a smaller image the last level has one row or column, and programs of `torch.export`
are traced for more."""


def trace(network: PortableDetector, resolution: Resolution) -> ExportedProgram:
    """Return a program that takes any number of images of any size.

    Args:
        network: with the suppression of the files that are made of it.
        resolution: of the images that it is traced with.
    """
    # With one image, their number is taken for a constant; none is small: see above.
    height = max(resolution.height, LEAST_TRACED_SIDE)
    width = max(resolution.width, LEAST_TRACED_SIDE)
    example = _example(2, *padded(height, width, network.divisor))
    with _quiet():
        return torch.export.export(network, example, dynamic_shapes=_shapes(network.divisor))


def trace_fixed(network: PortableDetector, resolution: Resolution) -> ExportedProgram:
    """Return a program that takes one image, padded from the resolution to multiples."""
    example = _example(1, *padded(resolution.height, resolution.width, network.divisor))
    with _quiet():
        return torch.export.export(network, example)


def _shapes(divisor: int) -> dict[str, dict[int, Any]]:
    """Any number of images, whose sides are multiples of the divisor.

    Saying so spares the tracer the rounding of every level's sides.
    """
    least = -(-LEAST_TRACED_SIDE // divisor)
    height, width = (torch.export.Dim(side, min=least) for side in ("height", "width"))
    number = torch.export.Dim.DYNAMIC
    return {"images": {0: number, 2: divisor * height, 3: divisor * width}, "sizes": {0: number}}


def padded(height: int, width: int, divisor: int) -> tuple[int, int]:
    """Both sides, as multiples of the divisor."""
    return -(-height // divisor) * divisor, -(-width // divisor) * divisor


def write_onnx(program: ExportedProgram, path: Path) -> None:
    """Write an ONNX file of one piece.

    Of the exporter's own optimisation, patterns are left out: matching them takes longer than all
    else, and runtimes do it when they load the file.
    """
    with _quiet():
        written = torch.onnx.export(
            program,
            (),
            input_names=INPUTS,
            output_names=OUTPUTS,
            custom_translation_table=onnx_translations(),
            opset_version=_OPSET,
            dynamo=True,
            optimize=False,
            verbose=False,
        )
        assert written is not None
        _fold_constants(written.model)
        _clear_traces(written.model)
        written.save(path, external_data=False)


def _fold_constants(model: Any) -> None:
    from onnx_ir.passes import common
    from onnxscript import optimizer

    optimizer.inline(model)
    optimizer.fold_constants(model)
    passes = (
        common.RemoveUnusedNodesPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedFunctionsPass(),
        common.RemoveUnusedOpsetsPass(),
    )
    for one in passes:
        one(model)


def _clear_traces(model: Any) -> None:
    """Remove where in this machine's sources each node comes from."""
    from onnx_ir.passes import common

    common.ClearMetadataAndDocStringPass()(model)


def write_program(program: ExportedProgram, path: Path) -> None:
    """Write a program that needs torch and torchvision, whose suppression it has."""
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, GraphModule) else ():
            node.meta.pop("stack_trace", None)  # it names files of this machine
    with _quiet():
        torch.export.save(program, path)


def _example(count: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.zeros(count, 3, height, width, dtype=torch.uint8)
    return images, torch.tensor([[height, width]] * count, dtype=torch.float32)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' remarks on their own progress, and without torch's structured trace.

    Where a program has given that log a handler, as pytest does, it takes a stack for each symbol.
    """
    trace = logging.getLogger("torch.__trace")
    handlers, trace.handlers = trace.handlers, []
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        trace.handlers = handlers
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
