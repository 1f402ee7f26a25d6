"""Add-layer: a block that changes nothing yet, at the end of a stage (paper, A.1.2)."""

from detnas.actions import AddLayer, Morphism, add_layer
from detnas.architecture import Architecture
from detnas_trainer.evolve.inheritance import inherit
from detnas_trainer.evolve.tensors import State


def add_identity_layer(
    architecture: Architecture, state: State, action: AddLayer
) -> tuple[Morphism, State]:
    """Append a block; in evaluation the detector's outputs stay the same.

    The block's input comes from a ReLU, so adding zero and rectifying again changes nothing.
    """
    morphism = add_layer(architecture, action.stage)
    return morphism, inherit(state, morphism)
