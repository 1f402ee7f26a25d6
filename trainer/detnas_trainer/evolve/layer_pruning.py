"""Layer pruning removes the block of smallest L1 norm (paper, 3.1.2)."""

import math
from typing import Literal

from torch import Tensor

from detnas.actions import LayerPruning, Morphism, prunable_places, prune_layer
from detnas.architecture import Architecture
from detnas_trainer.evolve.errors import InvalidActionError
from detnas_trainer.evolve.tensors import State, split_blocks

_PARAMETERS = (".weight", ".bias")


def prune_least_layer(architecture: Architecture, state: State, action: LayerPruning) -> Morphism:
    """Remove the block of smallest norm among those without a projection; of equals, the first.

    Raises:
        InvalidActionError: every block has a projection, is alone, or is protected; or a norm
            is not finite.
    """
    _, blocks = split_blocks(state)
    norms = {
        place: block_norm(blocks[place], action.norm)
        for place in prunable_places(architecture, action.protected)
    }
    if not norms:
        raise InvalidActionError(
            "layer pruning: every block has a projection, is its stage's only one, or was added "
            "a short while ago",
            "take another action",
        )
    if not all(map(math.isfinite, norms.values())):
        raise InvalidActionError("layer pruning: the weights are not finite", "take other weights")
    return prune_layer(architecture, min(norms, key=norms.__getitem__))


def block_norm(tensors: dict[str, Tensor], norm: Literal["Sum", "Mean"]) -> float:
    """L1 norm of a block's parameters (its statistics do not count), or their mean magnitude."""
    parameters = [value for part, value in tensors.items() if part.endswith(_PARAMETERS)]
    total = sum(value.abs().sum().item() for value in parameters)
    return total / sum(value.numel() for value in parameters) if norm == "Mean" else total
