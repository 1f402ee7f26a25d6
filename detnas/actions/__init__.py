"""The student's action space: typed actions, where each is legal, what it does to the structure."""

from detnas.actions.legality import PROTECTED_STEPS, legal_actions, prunable_places
from detnas.actions.morphism import AddedBlock, Morphism, add_layer, age, prune_layer, rearrange
from detnas.actions.narrowing import narrowed, narrowed_to
from detnas.actions.types import (
    Action,
    ActionKind,
    ActionOptions,
    AddLayer,
    ChannelPruning,
    LayerNorm,
    LayerPruning,
    Rearrange,
)

__all__ = [
    "PROTECTED_STEPS",
    "Action",
    "ActionKind",
    "ActionOptions",
    "AddLayer",
    "AddedBlock",
    "ChannelPruning",
    "LayerNorm",
    "LayerPruning",
    "Morphism",
    "Rearrange",
    "add_layer",
    "age",
    "legal_actions",
    "narrowed",
    "narrowed_to",
    "prunable_places",
    "prune_layer",
    "rearrange",
]
