"""Post-training quantisation of an ONNX file to 8 bits, by onnxruntime, with calibration images.

Convolutions and linear layers get 8-bit weights (one scale per channel) and 8-bit inputs; each
keeps its place in the graph between a QuantizeLinear and a DequantizeLinear, so any runtime that
reads ONNX runs the file, and OpenVINO converts it. The last layers of RPN and box heads stay in
32 bits, with everything that follows them: boxes and scores are computed there.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FLOAT_LAYERS = ("rpn_cls", "rpn_reg", "fc_cls", "fc_reg")
"""Names, in mmdet's heads, of the layers that stay as they are."""

_QUANTISED = ("Conv", "Gemm", "MatMul")

Inputs = dict[str, NDArray[np.generic]]


class _Reader:
    """What onnxruntime asks for the next image."""

    def __init__(self, inputs: Iterable[Inputs]) -> None:
        self._inputs: Iterator[Inputs] = iter(inputs)

    def get_next(self) -> Inputs | None:
        return next(self._inputs, None)


def write_int8(source: Path, target: Path, inputs: Iterable[Inputs]) -> None:
    """Write the quantised form of an ONNX file.

    Args:
        source: the file in 32 bits.
        target: to write.
        inputs: of calibration images, one by one, by the names of the file's inputs.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    model = onnx.load(source)
    quantize_static(
        model,
        target,
        _Reader(inputs),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(_QUANTISED),
        nodes_to_exclude=_float_nodes(model.graph),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def _float_nodes(graph: Any) -> list[str]:
    """Names of an ONNX graph's nodes whose weights belong to the layers that stay in 32 bits."""
    return [
        node.name
        for node in graph.node
        if any(layer in name for name in node.input[1:2] for layer in _FLOAT_LAYERS)
    ]
