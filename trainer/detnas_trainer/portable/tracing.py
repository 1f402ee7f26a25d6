"""From the detector's module to an ONNX file and to a program of `torch.export`."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from detnas.records.settings import Resolution
from detnas_trainer.portable.network import OUTPUTS, PortableDetector
from detnas_trainer.portable.suppression import onnx_translations

INPUTS = ("images", "sizes")
_OPSET = 20
"""The first with DeformConv is 19; OpenVINO and onnxruntime read 20 since 2024."""

_ANY = torch.export.Dim.DYNAMIC
_SHAPES = {"images": {0: _ANY, 2: _ANY, 3: _ANY}, "sizes": {0: _ANY}}
"""Any number of images of any size; their sides are multiples of what `detector.json` says."""

LEAST_TRACED_SIDE = 65
"""Pixels: of a smaller image the last level has one row or column, and programs of `torch.export`
are traced for more."""


def write_onnx(network: PortableDetector, resolution: Resolution, path: Path) -> None:
    """Write an ONNX file of one piece that takes any number of images.

    Args:
        network: whose suppression is `suppress_by_onnx`.
        resolution: of the images that it is traced with.
        path: to write.
    """
    with _quiet():
        torch.onnx.export(
            network,
            _example(resolution, network.divisor),
            path,
            input_names=INPUTS,
            output_names=OUTPUTS,
            dynamic_shapes=_SHAPES,
            custom_translation_table=onnx_translations(),
            opset_version=_OPSET,
            external_data=False,
            dynamo=True,
            verbose=False,
        )


def write_program(network: PortableDetector, resolution: Resolution, path: Path) -> None:
    """Write a program of `torch.export`, which needs torch and torchvision.

    Args:
        network: whose suppression is `suppress_by_torchvision`.
        resolution: of the images that it is traced with.
        path: to write.
    """
    with _quiet():
        example = _example(resolution, network.divisor)
        program = torch.export.export(network, example, dynamic_shapes=_SHAPES)
        torch.export.save(program, path)


def _example(resolution: Resolution, divisor: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two images: with one, tracing takes their number for a constant. None is small: see above."""
    sides = (max(side, LEAST_TRACED_SIDE) for side in (resolution.height, resolution.width))
    height, width = (-(-side // divisor) * divisor for side in sides)
    images = torch.zeros(2, 3, height, width, dtype=torch.uint8)
    return images, torch.tensor([[height, width]] * 2, dtype=torch.float32)


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
