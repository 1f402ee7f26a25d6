"""Channels in order of importance, so that a narrower subnet keeps the best ones.

As in once-for-all, a channel's importance is the L1 norm of the weights that read it, summed over
all layers that do; the supernet's function does not change. Channels of one residual stream are
sorted together, and the neck's as its three consecutive layers need: laterals, outputs, RPN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from detnas.architecture import Architecture


@dataclass
class ChannelGroup:
    """Channels that must be permuted as one."""

    producers: list[str]
    consumers: list[str] = field(default_factory=list)


_FIRST = "shared_fcs.0"


def channel_groups(
    architecture: Architecture, box_layers: Sequence[str] = (f"roi_head.bbox_head.{_FIRST}",)
) -> list[ChannelGroup]:
    """Every group of channels of a detector, by the state-dict names of its layers.

    Args:
        architecture: the backbone.
        box_layers: first layer of each box head.
    """
    return [*_backbone_groups(architecture), *_neck_groups(len(architecture.stages), box_layers)]


def sort_channels(state: Mapping[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """A state dict of the same function, with each group's channels by descending importance."""
    result = dict(state)
    heads = [layer for name in state if (layer := name.removesuffix(".weight")).endswith(_FIRST)]
    for group in channel_groups(architecture, heads):
        channels = state[f"{group.producers[0]}.weight"].size(0)
        order = torch.argsort(_importance(state, group, channels), descending=True, stable=True)
        for layer in group.producers:
            for name in _vectors_and_weight(result, layer):
                result[name] = result[name][order]
        for layer in group.consumers:
            weight = result[f"{layer}.weight"]
            result[f"{layer}.weight"] = _by_channel(weight, channels)[:, order].reshape(
                weight.shape
            )
    return result


def _importance(state: Mapping[str, Tensor], group: ChannelGroup, channels: int) -> Tensor:
    norms = [
        _by_channel(state[f"{layer}.weight"], channels).abs().sum(dim=(0, 2), dtype=torch.float64)
        for layer in group.consumers
    ]
    return torch.stack(norms).sum(0)


def _by_channel(weight: Tensor, channels: int) -> Tensor:
    """Outputs × channels × what reads one channel: a kernel, or the cells of a flattened RoI."""
    return weight.reshape(weight.size(0), channels, -1)


def _vectors_and_weight(state: Mapping[str, Tensor], layer: str) -> list[str]:
    parts = ("weight", "bias", "running_mean", "running_var")
    return [name for part in parts if (name := f"{layer}.{part}") in state]


def _backbone_groups(architecture: Architecture) -> list[ChannelGroup]:
    groups = [ChannelGroup(["backbone.conv1", "backbone.bn1"])]
    stream = groups[0]
    for placed in architecture.blocks:
        stage, position = placed.place
        block = f"backbone.layer{stage + 1}.{position}"
        *inner, last = placed.convolutions
        stream.consumers.append(f"{block}.{placed.convolutions[0].name}")
        if placed.projection is not None:
            stream.consumers.append(f"{block}.{placed.projection.name}")
            stream = ChannelGroup(
                [f"{block}.{placed.projection.name}", f"{block}.{placed.projection.norm}"]
            )
            groups.append(stream)
        stream.producers += [f"{block}.{last.name}", f"{block}.{last.norm}"]
        for convolution, reader in zip(inner, placed.convolutions[1:], strict=True):
            groups.append(
                ChannelGroup(
                    [f"{block}.{convolution.name}", f"{block}.{convolution.norm}"],
                    [f"{block}.{reader.name}"],
                )
            )
        if position + 1 == architecture.depths[stage]:
            stream.consumers.append(f"neck.lateral_convs.{stage}.conv")
    return groups


def _neck_groups(levels: int, box_layers: Sequence[str]) -> list[ChannelGroup]:
    laterals = [f"neck.lateral_convs.{level}.conv" for level in range(levels)]
    outputs = [f"neck.fpn_convs.{level}.conv" for level in range(levels)]
    return [
        ChannelGroup(laterals, outputs),
        ChannelGroup(outputs, ["rpn_head.rpn_conv", *box_layers]),
        ChannelGroup(["rpn_head.rpn_conv"], ["rpn_head.rpn_cls", "rpn_head.rpn_reg"]),
    ]
