"""Weights follow their blocks to new places; laterals follow their streams, or are new."""

import torch

from detnas.actions import Morphism
from detnas.architecture import Architecture, Place, PlacedBlock
from detnas_trainer.evolve.tensors import (
    State,
    convolution_tensors,
    identity_block,
    join_blocks,
    norm_tensors,
    reader_name,
    split_blocks,
)
from detnas_trainer.weights import check_state


def inherit(state: State, morphism: Morphism) -> State:
    """The state dict of the new architecture, its laterals still those of the old one.

    No structural action changes a block's input width: blocks keep their order, and only blocks
    whose shortcut is the identity are added or removed. So all that changes is where a projection
    is needed.
    """
    outside, old_blocks = split_blocks(state)
    new_blocks = {}
    for placed in morphism.architecture.blocks:
        origin = morphism.origin[placed.place]
        new_blocks[placed.place] = (
            identity_block(placed)
            if origin is None
            else _with_projection_as_asked(old_blocks[origin], placed)
        )
    return join_blocks(outside, new_blocks)


def _with_projection_as_asked(tensors: State, placed: PlacedBlock) -> State:
    branch = {part: value for part, value in tensors.items() if not _on_shortcut(part)}
    if placed.projection is None:
        return branch
    trained = {part: value for part, value in tensors.items() if _on_shortcut(part)}
    return branch | (trained or convolution_tensors(placed.projection))


def _on_shortcut(part: str) -> bool:
    return part.startswith("downsample.")


def check_laterals(architecture: Architecture, state: State) -> None:
    """Refuse laterals, or MobileNetV2's last convolution, that do not fit the stages' outputs.

    Raises:
        WeightsMismatchError: one is missing or has other input channels.
    """
    stages = range(len(architecture.stages))
    names = [f"{reader_name(architecture, stage)}.weight" for stage in stages]
    given = {name: state[name] for name in names if name in state}
    expected = {
        name: torch.empty((len(given.get(name, ())), outputs, 1, 1), device="meta")
        for name, outputs in zip(names, architecture.stage_outputs, strict=True)
    }
    check_state(given, expected)


def renew_laterals(
    old: Architecture, state: State, morphism: Morphism, generator: torch.Generator
) -> tuple[State, tuple[str, ...]]:
    """Initialise the laterals of stages that end in another stream than before.

    New weights are drawn by the FPN's own rule (Xavier uniform, zero bias). So are those of
    MobileNetV2's last convolution, with an identity batch norm.

    Returns:
        The state dict, and a note for every lateral initialised afresh.
    """
    renewed = dict(state)
    notes = []
    for stage in range(len(old.stages)):
        if _stream_before(old, stage) == _stream_after(old, morphism, stage):
            continue
        name = reader_name(old, stage)
        weight = state[f"{name}.weight"]
        shape = (weight.shape[0], morphism.architecture.stage_outputs[stage], 1, 1)
        fresh = torch.empty(shape, dtype=weight.dtype)
        torch.nn.init.xavier_uniform_(fresh, generator=generator)
        renewed[f"{name}.weight"] = fresh
        is_lateral = f"{name}.bias" in state
        if is_lateral:
            renewed[f"{name}.bias"] = torch.zeros_like(state[f"{name}.bias"])
        elif old.head is not None:
            renewed |= norm_tensors(f"backbone.{old.head.norm}", old.head.outputs)
        reader = f"lateral {stage + 1}" if is_lateral else "last convolution"
        notes.append(
            f"{reader} initialised afresh: stage {stage + 1} ends in another residual stream"
        )
    return renewed, tuple(notes)


def _stream_before(architecture: Architecture, stage: int) -> Place | None:
    """Head of the stream that a stage ends in; None where that is the stem."""
    return _stream_of(architecture, Place(stage, architecture.depths[stage] - 1))


def _stream_of(architecture: Architecture, place: Place) -> Place | None:
    group = next(group for group in architecture.residual_groups if place in group.members)
    return None if group.headed_by_stem else group.members[0]


def _stream_after(old: Architecture, morphism: Morphism, stage: int) -> Place | None:
    """The same for the new architecture, as a place of the old one.

    A projection that did not exist before is a subsampled identity: its stream continues. A block
    that lost its shortcut without getting a projection still writes the channels of its old stream.
    """
    last = Place(stage, morphism.architecture.depths[stage] - 1)
    upstream = [p for p in reversed(morphism.architecture.blocks) if p.place <= last]
    for placed in upstream:
        origin = morphism.origin[placed.place]
        if placed.has_identity_shortcut or origin is None:
            continue
        if placed.projection is None or old.block(origin).projection is not None:
            return _stream_of(old, origin)
    return None
