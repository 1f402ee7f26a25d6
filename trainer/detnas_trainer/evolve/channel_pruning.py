"""Channel pruning removes the channels of smallest batch norm weight (paper, 3.1.2)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from detnas.actions import ChannelPruning
from detnas.architecture import (
    Architecture,
    Block,
    Convolution,
    Place,
    PlacedBlock,
    ResidualGroup,
)
from detnas_trainer.evolve.channel_ranking import Border, PrunableUnit, least_important
from detnas_trainer.evolve.errors import InvalidActionError
from detnas_trainer.evolve.tensors import (
    State,
    block_name,
    join_blocks,
    reader_name,
    split_blocks,
)

Kept = Tensor | None
"""Indices of the channels that stay, ascending; None if all do."""


@dataclass(frozen=True, slots=True)
class _Inner:
    """Channels inside a block that one of its widths counts.

    Attributes:
        place: the block's.
        width: index of the width; where the family's inner convolutions are tied, it is 0.
    """

    place: Place
    width: int


_Unit = _Inner | ResidualGroup


def prune_channels(
    architecture: Architecture,
    state: State,
    action: ChannelPruning,
    ranked_by: State | None = None,
) -> tuple[Architecture, State]:
    """Remove a share of all prunable channels, ranked over the whole backbone.

    Inner channels rank by their own batch norm, a residual stream's by that of the projection that
    heads it, or in MobileNetV2 by the last one of the block that heads it. The inner channels of a
    ResNeXt block go in whole groups, which rank by the mean over their weights in both batch norms;
    those of a MobileNetV2 block rank alike, each for itself. Everything that reads the channels is
    cut as well: the next convolution, the next blocks, their projections, the neck's laterals.

    Args:
        architecture: of the backbone.
        state: the detector's weights.
        action: how much is removed.
        ranked_by: weights whose batch norms rank the channels; by default ``state``.

    Raises:
        InvalidActionError: no channel can be removed without falling below the minimum or deleting
            a trained projection; or a batch norm's weight is not finite.
    """
    units = list(_prunable_units(architecture, ranked_by or state, action))
    kept = least_important(units, action.fraction, _borders(architecture, units))
    if not kept:
        raise InvalidActionError(
            f"channel pruning: no convolution can lose a channel and keep "
            f"{action.minimum_channels}",
            "take another action, or lower minimumChannels",
        )
    by_unit = {unit.key: kept[index] for index, unit in enumerate(units) if index in kept}
    return _pruned_architecture(architecture, by_unit), _pruned_state(architecture, state, by_unit)


def narrow_channels(architecture: Architecture, state: State, narrowed: Architecture) -> State:
    """Cut the weights to smaller widths; of every convolution the most important channels stay.

    They are ranked as in `prune_channels`, but each unit's for themselves.

    Args:
        architecture: of the weights.
        state: its weights.
        narrowed: the same blocks, of which no width is larger.

    Raises:
        InvalidActionError: it differs in more, or in a width that pruning cannot change; or a batch
            norm's weight is not finite.
    """
    kept = {}
    for unit in _prunable_units(architecture, state, ChannelPruning(minimum_channels=1)):
        width = _width_in(narrowed, unit.key)
        if 0 < width < len(unit.order):
            kept[unit.key] = unit.most_important(width)
    if _pruned_architecture(architecture, kept) != narrowed:
        raise InvalidActionError(
            "narrowing: the smaller backbone has other blocks, or is not smaller",
            "give one whose widths channel pruning could reach",
        )
    return _pruned_state(architecture, state, kept)


def _width_in(architecture: Architecture, unit: _Unit) -> int:
    """A unit's width in another architecture; 0 if it has no such block."""
    place = unit.place if isinstance(unit, _Inner) else unit.members[0]
    blocks = architecture.stages[place.stage]
    if place.block >= len(blocks):
        return 0
    widths = blocks[place.block].widths
    return widths[unit.width] if isinstance(unit, _Inner) else widths[-1]


def _prunable_units(
    architecture: Architecture, state: State, action: ChannelPruning
) -> Iterator[PrunableUnit[_Unit]]:
    def weights(place: Place, *convolutions: Convolution) -> list[Tensor]:
        return [state[f"{block_name(place, one.norm)}.weight"] for one in convolutions]

    for placed in architecture.blocks:
        group = placed.block.group_width or 1
        for unit, convolutions in _inner_convolutions(architecture, placed).items():
            yield PrunableUnit.ranked(
                unit,
                weights(placed.place, *convolutions),
                minimum=group if placed.block.group_width else action.minimum_channels,
                divisor=math.lcm(group, action.channel_divisor),
                group=group,
            )
    for stream in architecture.residual_groups:
        if not stream.headed_by_stem:
            head = architecture.block(stream.members[0])
            yield PrunableUnit.ranked(
                stream,
                weights(head.place, head.projection or head.convolutions[-1]),
                minimum=action.minimum_channels,
                divisor=action.channel_divisor,
            )


def _inner_convolutions(
    architecture: Architecture, placed: PlacedBlock
) -> dict[_Inner, list[Convolution]]:
    """The convolutions that write each of a block's inner widths, in order."""
    units: dict[_Inner, list[Convolution]] = {}
    for index, convolution in enumerate(placed.convolutions[:-1]):
        unit = _Inner(placed.place, 0 if architecture.traits.tied else index)
        units.setdefault(unit, []).append(convolution)
    return units


def _borders(architecture: Architecture, units: list[PrunableUnit[_Unit]]) -> list[Border]:
    """Streams that meet at a block whose shortcut tells them apart; their widths stay different.

    Equal widths would delete a trained projection of stride 1, give a MobileNetV2 block a shortcut
    that it never had, or tie two streams at a projection of stride 2.
    """
    index = {unit.key: number for number, unit in enumerate(units)}
    borders = []
    before: ResidualGroup | None = None
    for group in architecture.residual_groups:
        head = architecture.block(group.members[0])
        if not group.headed_by_stem and (head.projection or head.stride == 1):
            number = index.get(before) if before else None
            borders.append((number, index[group], head.inputs))
        before = group
    return borders


def _pruned_architecture(architecture: Architecture, kept: dict[_Unit, Tensor]) -> Architecture:
    streams = _stream_of_each_block(architecture)

    def width(unit: _Unit, now: int) -> int:
        return len(kept[unit]) if unit in kept else now

    def pruned(place: Place, block: Block) -> Block:
        tied = architecture.traits.tied
        inner = (
            width(_Inner(place, 0 if tied else index), now)
            for index, now in enumerate(block.widths[:-1])
        )
        widths = (*inner, width(streams[place], block.out))
        return Block(widths=widths, group_width=block.group_width)

    return Architecture(
        family=architecture.family,
        stem=architecture.stem,
        stages=tuple(
            tuple(pruned(Place(s, b), block) for b, block in enumerate(stage))
            for s, stage in enumerate(architecture.stages)
        ),
    )


def _pruned_state(architecture: Architecture, state: State, kept: dict[_Unit, Tensor]) -> State:
    outside, blocks = split_blocks(state)
    streams = _stream_of_each_block(architecture)
    incoming: Kept = None
    for placed in architecture.blocks:
        tensors, outgoing = blocks[placed.place], kept.get(streams[placed.place])
        read = incoming
        for unit, convolutions in _inner_convolutions(architecture, placed).items():
            for convolution in convolutions:
                _slice(tensors, convolution, read, kept.get(unit))
                read = kept.get(unit)
        _slice(tensors, placed.convolutions[-1], read, outgoing)
        if placed.projection:
            _slice(tensors, placed.projection, incoming, outgoing)
        incoming = outgoing
    for stage, depth in enumerate(architecture.depths):
        if (indices := kept.get(streams[Place(stage, depth - 1)])) is not None:
            name = f"{reader_name(architecture, stage)}.weight"
            outside[name] = outside[name].index_select(1, indices)
    return join_blocks(outside, blocks)


def _stream_of_each_block(architecture: Architecture) -> dict[Place, ResidualGroup]:
    return {place: group for group in architecture.residual_groups for place in group.members}


def _slice(tensors: State, convolution: Convolution, read: Kept, written: Kept) -> None:
    """Cut a convolution's inputs and outputs, and its batch norm, to the channels kept.

    A convolution in groups loses whole groups, so the inputs of the others stay.
    """
    weight = tensors[f"{convolution.name}.weight"]
    if read is not None and convolution.groups == 1:
        weight = weight.index_select(1, read)
    if written is not None:
        weight = weight.index_select(0, written)
        for kind in ("weight", "bias", "running_mean", "running_var"):
            name = f"{convolution.norm}.{kind}"
            tensors[name] = tensors[name].index_select(0, written)
    tensors[f"{convolution.name}.weight"] = weight
