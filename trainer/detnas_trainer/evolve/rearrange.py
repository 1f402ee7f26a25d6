"""Rearrange: a block moves across a stage border with its weights (paper, A.1.2)."""

from detnas.actions import Morphism, Rearrange, rearrange
from detnas.architecture import Architecture
from detnas_trainer.evolve.inheritance import inherit
from detnas_trainer.evolve.tensors import State


def move_block(
    architecture: Architecture, state: State, action: Rearrange
) -> tuple[Morphism, State]:
    """Move the last block onward or the first one back.

    Where the encoding now asks for a projection that did not exist it is a subsampled identity;
    one that is no longer asked for is dropped; all others are kept, whatever their stride.

    Raises:
        UserError: the stages are no neighbours, or the source has one block only.
    """
    morphism = rearrange(architecture, action.source, action.target)
    return morphism, inherit(state, morphism)
