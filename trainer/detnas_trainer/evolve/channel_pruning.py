"""Channel pruning removes the channels of smallest batch norm weight (paper, 3.1.2)."""

from dataclasses import dataclass

from torch import Tensor

from detnas.actions import ChannelPruning
from detnas.architecture import Architecture, Block, Place, ResidualGroup
from detnas_trainer.evolve.channel_ranking import PrunableUnit, least_important
from detnas_trainer.evolve.errors import InvalidActionError
from detnas_trainer.evolve.tensors import (
    State,
    block_name,
    join_blocks,
    lateral_name,
    split_blocks,
)

Kept = Tensor | None
"""Indices of the channels that stay, ascending; None if all do."""


@dataclass(frozen=True, slots=True)
class _Inner:
    """Channels between two convolutions of a block."""

    place: Place
    convolution: int


_Unit = _Inner | ResidualGroup


def prune_channels(
    architecture: Architecture, state: State, action: ChannelPruning
) -> tuple[Architecture, State]:
    """Remove a share of all prunable channels, ranked over the whole backbone.

    Inner channels rank by their own batch norm, a residual stream's by the batch norm of the
    projection that heads it. Everything that reads the channels is cut as well: the next
    convolution, the next blocks, their projections, and the neck's laterals.

    Raises:
        InvalidActionError: no channel can be removed without falling below the minimum or deleting
            a trained projection; or a batch norm's weight is not finite.
    """
    units = _prunable_units(architecture, state, action)
    kept = least_important(units, action.fraction, _stride_one_borders(architecture, units))
    if not kept:
        raise InvalidActionError(
            f"channel pruning: no convolution can lose a channel and keep "
            f"{action.minimum_channels}",
            "take another action, or lower minimumChannels",
        )
    by_unit = {unit.key: kept[index] for index, unit in enumerate(units) if index in kept}
    return _pruned_architecture(architecture, by_unit), _pruned_state(architecture, state, by_unit)


def _prunable_units(
    architecture: Architecture, state: State, action: ChannelPruning
) -> list[PrunableUnit[_Unit]]:
    norms: list[tuple[_Unit, str]] = [
        (_Inner(placed.place, index), block_name(placed.place, convolution.norm))
        for placed in architecture.blocks
        for index, convolution in enumerate(placed.convolutions[:-1])
    ]
    norms += [
        (group, block_name(group.members[0], "downsample.1"))
        for group in architecture.residual_groups
        if not group.headed_by_stem
    ]
    return [
        PrunableUnit.ranked(
            key,
            state[f"{norm}.weight"],
            minimum=action.minimum_channels,
            divisor=action.channel_divisor,
        )
        for key, norm in norms
    ]


def _stride_one_borders(
    architecture: Architecture, units: list[PrunableUnit[_Unit]]
) -> list[tuple[int | None, int, int]]:
    """Streams that meet at a projection of stride 1, whose widths must stay different.

    Each is (unit before, or None where its width is fixed; unit after; width before).
    """
    index = {unit.key: number for number, unit in enumerate(units)}
    borders = []
    before: ResidualGroup | None = None
    for group in architecture.residual_groups:
        head = architecture.block(group.members[0])
        if head.projection and head.stride == 1:
            number = index.get(before) if before else None
            borders.append((number, index[group], head.inputs))
        before = group
    return borders


def _pruned_architecture(architecture: Architecture, kept: dict[_Unit, Tensor]) -> Architecture:
    streams = _stream_of_each_block(architecture)

    def width(unit: _Unit, now: int) -> int:
        return len(kept[unit]) if unit in kept else now

    def pruned(place: Place, block: Block) -> Block:
        inner = (width(_Inner(place, i), now) for i, now in enumerate(block.widths[:-1]))
        return Block(widths=(*inner, width(streams[place], block.out)))

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
        for index, convolution in enumerate(placed.convolutions):
            last = index == len(placed.convolutions) - 1
            written = outgoing if last else kept.get(_Inner(placed.place, index))
            _slice(tensors, (convolution.name, convolution.norm), read, written)
            read = written
        if placed.projection:
            names = (placed.projection.name, placed.projection.norm)
            _slice(tensors, names, incoming, outgoing)
        incoming = outgoing
    for stage, depth in enumerate(architecture.depths):
        if (indices := kept.get(streams[Place(stage, depth - 1)])) is not None:
            name = lateral_name(stage, "weight")
            outside[name] = outside[name].index_select(1, indices)
    return join_blocks(outside, blocks)


def _stream_of_each_block(architecture: Architecture) -> dict[Place, ResidualGroup]:
    return {place: group for group in architecture.residual_groups for place in group.members}


def _slice(tensors: State, names: tuple[str, str], read: Kept, written: Kept) -> None:
    """Cut a convolution's inputs and outputs, and its batch norm, to the channels kept."""
    convolution, norm = names
    weight = tensors[f"{convolution}.weight"]
    if read is not None:
        weight = weight.index_select(1, read)
    if written is not None:
        weight = weight.index_select(0, written)
        for kind in ("weight", "bias", "running_mean", "running_var"):
            name = f"{norm}.{kind}"
            tensors[name] = tensors[name].index_select(0, written)
    tensors[f"{convolution}.weight"] = weight
