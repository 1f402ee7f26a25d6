"""Which tensors of a detector's state dict belong to which block, and what they start as."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from detnas.architecture import Architecture, Convolution, Place, PlacedBlock

BN_EPSILON = 1e-5
"""Epsilon of every batch norm of the backbone: torch's default."""

State = dict[str, Tensor]

_BLOCK = re.compile(r"backbone\.layer(\d+)\.(\d+)\.(.+)")


def block_name(place: Place, part: str) -> str:
    """State-dict name of a part of a block, such as ``backbone.layer1.0.conv1.weight``."""
    return f"backbone.layer{place.stage + 1}.{place.block}.{part}"


def reader_name(architecture: Architecture, stage: int) -> str:
    """State-dict name of the convolution that reads a stage's output, from 0.

    It is the FPN's lateral, and in MobileNetV2 after the last stage the 1×1 convolution before it.
    """
    last = stage == len(architecture.stages) - 1
    if architecture.head is not None and last:
        return f"backbone.{architecture.head.name}"
    return f"neck.lateral_convs.{stage}.conv"


def split_blocks(state: Mapping[str, Tensor]) -> tuple[State, dict[Place, State]]:
    """Split a state dict into what is outside the blocks, and each block's tensors by part."""
    outside: State = {}
    blocks: dict[Place, State] = {}
    for name, value in state.items():
        if match := _BLOCK.fullmatch(name):
            place = Place(int(match[1]) - 1, int(match[2]))
            blocks.setdefault(place, {})[match[3]] = value
        else:
            outside[name] = value
    return outside, blocks


def join_blocks(outside: State, blocks: Mapping[Place, Mapping[str, Tensor]]) -> State:
    """The inverse of `split_blocks`."""
    placed = {
        block_name(place, part): value
        for place, tensors in blocks.items()
        for part, value in tensors.items()
    }
    return outside | placed


def expected_tensors(architecture: Architecture) -> State:
    """The tensors of all blocks, without data (on the meta device)."""
    expected: State = {}
    for placed in architecture.blocks:
        convolutions = (*placed.convolutions, placed.projection)
        for convolution in filter(None, convolutions):
            for part, value in convolution_tensors(convolution, device="meta").items():
                expected[block_name(placed.place, part)] = value
    return expected


def convolution_tensors(convolution: Convolution, device: str = "cpu") -> State:
    """A Dirac convolution and an identity batch norm: together they pass channels through.

    The first min(inputs, outputs) channels pass unchanged, subsampled by the stride; further
    outputs are zero. A convolution in groups has as many inputs as outputs. The running variance is
    1 - epsilon, so that evaluation is exact.
    """
    side, outputs = convolution.kernel, convolution.outputs
    per_group = convolution.inputs // convolution.groups
    weight = torch.zeros(outputs, per_group, side, side, device=device)
    channels = torch.arange(min(outputs, convolution.inputs), device=device)
    weight[channels, channels % per_group, side // 2, side // 2] = 1.0
    norm = norm_tensors(convolution.norm, outputs, device)
    return {f"{convolution.name}.weight": weight, **norm}


def norm_tensors(name: str, channels: int, device: str = "cpu") -> State:
    """A batch norm that changes nothing in evaluation."""
    return {
        f"{name}.weight": torch.ones(channels, device=device),
        f"{name}.bias": torch.zeros(channels, device=device),
        f"{name}.running_mean": torch.zeros(channels, device=device),
        f"{name}.running_var": torch.full((channels,), 1 - BN_EPSILON, device=device),
        f"{name}.num_batches_tracked": torch.zeros((), dtype=torch.long, device=device),
    }


def identity_block(placed: PlacedBlock) -> State:
    """A block that adds nothing to its stream: Dirac convolutions, the last batch norm at zero."""
    tensors: State = {}
    for convolution in placed.convolutions:
        tensors |= convolution_tensors(convolution)
    last = placed.convolutions[-1].norm
    tensors[f"{last}.weight"] = torch.zeros(placed.block.out)
    return tensors
