"""The 16-bit form of an ONNX file: layers compute in 16 bits, boxes and scores in 32.

Layers are convolutions and linear layers, and what lies directly between them: activations, sums
and pooling. Where a tensor enters or leaves them it is converted.

onnxruntime's own conversion (`onnxruntime.transformers.float16`) can leave nodes in 32 bits, but
takes what passes from one of them to the next through 16, in which coordinates above 1024 are whole
pixels.
"""

from pathlib import Path

import numpy as np
import onnx_ir as ir

_LAYERS = {"Conv", "DeformConv", "Gemm", "MatMul"}
_BETWEEN = {
    *("Add", "AveragePool", "BatchNormalization", "Clip", "GlobalAveragePool", "MaxPool", "Relu"),
    "Resize",
}
_FIRST_INPUT_ONLY = {"Resize"}
"""Its other inputs are scales and sizes."""


def write_half(source: Path, target: Path) -> None:
    """Write the 16-bit form of an ONNX file in 32 bits."""
    model = ir.load(source)
    layers = _layers(model.graph)
    entering: dict[ir.Value, ir.Value] = {}
    for node in [node for node in model.graph if node in layers]:
        _convert_inputs(model.graph, node, layers, entering)
        for output in node.outputs:
            _convert_uses(output, layers)
    for name, value in [*model.graph.initializers.items()]:
        if not value.uses():
            del model.graph.initializers[name]
    ir.save(model, target)


def _layers(graph: ir.Graph) -> set[ir.Node]:
    """The nodes that compute in 16 bits."""
    found = {node for node in graph if node.op_type in _LAYERS}
    due = [*found]
    while due:
        for other in _neighbours(due.pop()):
            if other.op_type in _BETWEEN and other not in found:
                found.add(other)
                due.append(other)
    return found


def _neighbours(node: ir.Node) -> list[ir.Node]:
    before = [value.producer() for value in _inputs(node).values()]
    after = [user.node for output in node.outputs for user in output.uses()]
    return [one for one in (*before, *after) if one is not None]


def _inputs(node: ir.Node) -> dict[int, ir.Value]:
    """A node's inputs of 32 bits, by their places."""
    places = 1 if node.op_type in _FIRST_INPUT_ONLY else len(node.inputs)
    return {place: value for place, value in enumerate(node.inputs[:places]) if value is not None}


def _convert_inputs(
    graph: ir.Graph, node: ir.Node, layers: set[ir.Node], entering: dict[ir.Value, ir.Value]
) -> None:
    for place, value in _inputs(node).items():
        if value.producer() in layers:
            continue
        if value not in entering:
            entering[value] = _constant(graph, value) or _cast(value, ir.DataType.FLOAT16, node)
        node.replace_input_with(place, entering[value])


def _constant(graph: ir.Graph, value: ir.Value) -> ir.Value | None:
    """A weight in 16 bits, which takes the place of that in 32; None if it is no weight."""
    if not value.is_initializer() or value.const_value is None:
        return None
    name = f"{value.name}_16"
    tensor = ir.tensor(value.const_value.numpy().astype(np.float16), name=name)
    half = ir.Value(
        name=name, shape=value.shape, type=ir.TensorType(tensor.dtype), const_value=tensor
    )
    graph.register_initializer(half)
    return half


def _cast(value: ir.Value, to: ir.DataType, before: ir.Node) -> ir.Value:
    """The value as another type, computed before a node."""
    node = ir.node("Cast", [value], attributes={"to": to})
    (converted,) = node.outputs
    converted.type, converted.shape = ir.TensorType(to), value.shape
    assert before.graph is not None
    before.graph.insert_before(before, node)
    return converted


def _convert_uses(output: ir.Value, layers: set[ir.Node]) -> None:
    """Let what is no layer take an output in 32 bits."""
    output.type = ir.TensorType(ir.DataType.FLOAT16)
    others = [use for use in output.uses() if use.node not in layers]
    if not others:
        return
    producer = output.producer()
    assert producer is not None
    node = ir.node("Cast", [output], attributes={"to": ir.DataType.FLOAT})
    node.outputs[0].type, node.outputs[0].shape = ir.TensorType(ir.DataType.FLOAT), output.shape
    assert producer.graph is not None
    producer.graph.insert_after(producer, node)
    for use in others:
        use.node.replace_input_with(use.idx, node.outputs[0])
