"""Which part of the supernet's weights a teacher is: its first blocks, its first channels.

Pure functions on names and tensors. A depth keeps the first blocks of a stage, a width the first
channels (paper, 4 and A.1.3); the neck's width is also the RPN's and the input of the box head.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import torch
from torch import Tensor

from detnas.architecture import Architecture
from detnas.errors import UserError
from detnas.teachers import SupernetShape, Teacher, TeacherSpace
from detnas_trainer.detector import detector_state

_STAGE = re.compile(r"^(roi_head\.bbox_head)\.\d+(?=\.)")

_WHOLE = slice(None)


@dataclass(frozen=True, slots=True)
class ActiveChannels:
    """Channels of one layer that a teacher uses, always the first ones.

    Attributes:
        outputs: along the first dimension of every tensor of the layer; none keeps all.
        inputs: along the second dimension, of weights only; none keeps all.
        cells_of: channels of the supernet of which each has several columns, one for each cell of
            an RoI's features; none if each has one.
    """

    outputs: int | None = None
    inputs: int | None = None
    cells_of: int | None = None

    def sizes(self, shape: Sequence[int]) -> tuple[int | None, int | None]:
        """Active outputs and inputs of a tensor of that shape."""
        if self.cells_of is None or self.inputs is None or len(shape) < 2:
            return self.outputs, self.inputs
        return self.outputs, self.inputs * (shape[1] // self.cells_of)


@dataclass(frozen=True)
class SubnetPlan:
    """A teacher as slices of the supernet's tensors.

    Attributes:
        architecture: the teacher's backbone.
        neck: channels of its neck.
        layers: active channels of every layer that is cut, by its `plain_layer` name.
    """

    architecture: Architecture
    neck: int
    layers: Mapping[str, ActiveChannels]

    def index(self, name: str, shape: Sequence[int]) -> tuple[slice, ...] | None:
        """The part of a tensor that the teacher uses.

        Returns:
            One slice per leading dimension that is cut; None if the teacher has no such
            tensor, as in a block beyond its depth.
        """
        layer = plain_layer(name.rpartition(".")[0])
        if layer not in self.layers:
            return None if layer.startswith("backbone.") else ()
        outputs, inputs = self.layers[layer].sizes(shape)
        return (slice(outputs), slice(inputs))[: len(shape)]

    def view(self, name: str, tensor: Tensor) -> Tensor | None:
        """The teacher's part of a tensor: the tensor itself where it uses all of it."""
        index = self.index(name, tensor.shape)
        if index is None:
            return None
        for dimension, part in enumerate(index):
            if part != _WHOLE and part.stop < tensor.size(dimension):
                return tensor[index]
        return tensor


@cache
def plain_layer(name: str) -> str:
    """A layer's name without the number of its cascade's stage, if it has one."""
    return _STAGE.sub(r"\1", name)


@lru_cache(maxsize=64)
def plan_subnet(shape: SupernetShape, space: TeacherSpace, teacher: Teacher) -> SubnetPlan:
    """Return a teacher as slices of the supernet's tensors.

    Raises:
        UserError: the teacher is not in the space, or the supernet lacks a projection.
    """
    if not space.contains(teacher):
        raise UserError(f"teacher {describe(teacher)} is not in the pool's space")
    shape.check_projections(space)
    architecture = shape.architecture(teacher)
    neck = shape.neck_width(teacher)
    around = _neck_layers(architecture, neck, shape.neck_width(space.largest))
    return SubnetPlan(architecture, neck, _backbone_layers(architecture) | around)


def extract(
    state: Mapping[str, Tensor], shape: SupernetShape, space: TeacherSpace, teacher: Teacher
) -> dict[str, Tensor]:
    """The state dict of a teacher's own, static detector: copies of the supernet's slices.

    It loads strictly into a detector of `shape.architecture(teacher)` with a neck of
    `shape.neck_width(teacher)` channels. The batch norms' statistics are slices too, and not
    the teacher's own until they are recomputed.

    A distillation adaptor's tensors are left out.

    Raises:
        UserError: the teacher is not in the space.
    """
    plan = plan_subnet(shape, space, teacher)
    views = ((name, plan.view(name, tensor)) for name, tensor in detector_state(state).items())
    return {
        name: view.detach().clone(memory_format=torch.contiguous_format)
        for name, view in views
        if view is not None
    }


def describe(teacher: Teacher) -> str:
    """A teacher in one short line, for messages."""
    return f"depths {list(teacher.depths)}, widths {', '.join(map(str, teacher.widths))}"


def _backbone_layers(architecture: Architecture) -> dict[str, ActiveChannels]:
    layers = {
        "backbone.conv1": ActiveChannels(architecture.stem),
        "backbone.bn1": ActiveChannels(architecture.stem),
    }
    for placed in architecture.blocks:
        convolutions = placed.convolutions
        if placed.projection is not None:
            convolutions = (*convolutions, placed.projection)
        block = f"backbone.layer{placed.place.stage + 1}.{placed.place.block}"
        for convolution in convolutions:
            active = ActiveChannels(convolution.outputs, convolution.inputs)
            layers[f"{block}.{convolution.name}"] = active
            layers[f"{block}.{convolution.norm}"] = active
    return layers


def _neck_layers(architecture: Architecture, neck: int, largest: int) -> dict[str, ActiveChannels]:
    layers = {
        "rpn_head.rpn_conv": ActiveChannels(neck, neck),
        "rpn_head.rpn_cls": ActiveChannels(inputs=neck),
        "rpn_head.rpn_reg": ActiveChannels(inputs=neck),
        # Features are flattened channel by channel, so the first channels are the first columns.
        "roi_head.bbox_head.shared_fcs.0": ActiveChannels(inputs=neck, cells_of=largest),
    }
    for level, width in enumerate(architecture.stage_outputs):
        layers[f"neck.lateral_convs.{level}.conv"] = ActiveChannels(neck, width)
        layers[f"neck.fpn_convs.{level}.conv"] = ActiveChannels(neck, neck)
    return layers
