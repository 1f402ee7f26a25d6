"""The 16-bit form of a program of `torch.export`: layers compute in 16 bits, boxes in 32."""

import copy
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node

_LAYERS = ("backbone.", "neck.", "rpn.", "heads.")
"""Where the names of `PortableDetector`'s layers begin."""

_CONVERSION = torch.ops.aten.to.dtype
_CHECK = torch.ops.aten._assert_tensor_metadata.default


def in_half(program: ExportedProgram) -> ExportedProgram:
    """Return a program whose layers have weights of 16 bits and compute with them.

    `PortableDetector` converts what enters its layers to their type, and what leaves them to 32
    bits. In 32 bits the former does nothing; here it converts.

    Args:
        program: of a network in 32 bits; it stays as it is.
    """
    program = copy.deepcopy(program)
    weights = {**program.graph_signature.inputs_to_parameters}
    weights |= program.graph_signature.inputs_to_buffers
    halves: set[Node] = set()
    for node in program.graph.nodes:
        name = weights.get(node.name, "")
        if name.startswith(_LAYERS) and name in program.state_dict:
            program.state_dict[name] = _halved(program.state_dict[name])
            is_half = True
        elif node.target is _CONVERSION:
            is_half = node.args[0] not in halves and _is_entry(node)
            if is_half:
                node.args = (node.args[0], torch.float16, *node.args[2:])
        elif node.target is _CHECK:
            is_half = False
            if node.args[0] in halves:
                node.kwargs = {**node.kwargs, "dtype": torch.float16}
        else:
            is_half = node.op == "call_function" and not halves.isdisjoint(node.all_input_nodes)
        value = node.meta.get("val")
        if is_half and isinstance(value, Tensor | list | tuple):  # not a side of a tensor
            halves.add(node)
            node.meta["val"] = _halved(value)
    program.graph_module.recompile()
    return program


def _is_entry(node: Node) -> bool:
    """Whether a conversion is one of what enters the layers."""
    source = node.args[0]
    return isinstance(source, Node) and source.meta["val"].dtype is node.args[1] is torch.float32


def _halved(value: Any) -> Any:
    """Tensors of 32 bits in 16, in lists and tuples as well; all else as it is."""
    if isinstance(value, Tensor):
        if value.dtype is not torch.float32:
            return value
        half = value.detach().half()
        return torch.nn.Parameter(half, False) if isinstance(value, torch.nn.Parameter) else half
    if isinstance(value, list | tuple):
        return type(value)(map(_halved, value))
    return value
