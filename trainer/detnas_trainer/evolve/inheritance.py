"""Weights follow their blocks from the old places to the new ones."""

from detnas.actions import Morphism
from detnas.architecture import PlacedBlock
from detnas_trainer.evolve.tensors import (
    State,
    convolution_tensors,
    identity_block,
    join_blocks,
    split_blocks,
)


def inherit(state: State, morphism: Morphism) -> State:
    """The state dict of the new architecture, its laterals still those of the old one.

    No structural action changes a block's input width: blocks keep their order, and only blocks
    without a projection come or go. So all that changes is where a projection is asked for.
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
