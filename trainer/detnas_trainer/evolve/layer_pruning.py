"""Layer pruning removes the block of smallest L1 norm, or of another measure (paper, 3.1.2)."""

import math

from torch import Tensor

from detnas.actions import LayerNorm, LayerPruning, Morphism, prunable_places, prune_layer
from detnas.architecture import Architecture, Place
from detnas_trainer.evolve.errors import InvalidActionError
from detnas_trainer.evolve.tensors import State, split_blocks

_PARAMETERS = (".weight", ".bias")


def prune_least_layer(architecture: Architecture, state: State, action: LayerPruning) -> Morphism:
    """Remove the least block of those whose shortcut is the identity; of equals, the first.

    Raises:
        InvalidActionError: every block heads a stream, is alone, or is protected; or a rank is not
            finite.
    """
    prunable = prunable_places(architecture, action.protected)
    if not prunable:
        raise InvalidActionError(
            "layer pruning: every block has a projection or no shortcut, is its stage's only one, "
            "or was added a short while ago",
            "take another action",
        )
    ranks = layer_ranks(architecture, state, action.norm)
    if not all(math.isfinite(ranks[place]) for place in prunable):
        raise InvalidActionError("layer pruning: the weights are not finite", "take other weights")
    return prune_layer(architecture, min(prunable, key=ranks.__getitem__))


def layer_ranks(architecture: Architecture, state: State, norm: LayerNorm) -> dict[Place, float]:
    """How important each block whose shortcut is the identity is; statistics do not count."""
    _, blocks = split_blocks(state)
    places = [placed.place for placed in architecture.blocks if placed.has_identity_shortcut]
    if norm == "LastGamma":
        last = architecture.blocks[0].convolutions[-1].norm
        return {place: blocks[place][f"{last}.weight"].abs().mean().item() for place in places}
    sums = {place: _l1_norm(blocks[place]) for place in places}
    if norm == "Sum":
        return sums
    if norm == "Mean":
        return {place: sums[place] / _size(blocks[place]) for place in places}
    return {place: value / _mean_of_stage(sums, place.stage) for place, value in sums.items()}


def _mean_of_stage(values: dict[Place, float], stage: int) -> float:
    own = [value for place, value in values.items() if place.stage == stage]
    return sum(own) / len(own) or 1.0


def _parameters(tensors: dict[str, Tensor]) -> list[Tensor]:
    return [value for part, value in tensors.items() if part.endswith(_PARAMETERS)]


def _l1_norm(tensors: dict[str, Tensor]) -> float:
    return sum(value.abs().sum().item() for value in _parameters(tensors))


def _size(tensors: dict[str, Tensor]) -> int:
    return sum(value.numel() for value in _parameters(tensors))
