"""One action on a student: its architecture and its weights become another student's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

import torch
from torch import Tensor

from detnas.actions import (
    Action,
    AddLayer,
    ChannelPruning,
    LayerPruning,
    Rearrange,
    add_layer,
    rearrange,
)
from detnas.architecture import Architecture, Place
from detnas.errors import UserError
from detnas_trainer.evolve.channel_pruning import prune_channels
from detnas_trainer.evolve.errors import InvalidActionError
from detnas_trainer.evolve.inheritance import check_laterals, inherit, renew_laterals
from detnas_trainer.evolve.layer_pruning import prune_least_layer
from detnas_trainer.evolve.tensors import State, expected_tensors
from detnas_trainer.weights import check_state

__all__ = ["Evolved", "InvalidActionError", "evolve"]


@dataclass(frozen=True, slots=True)
class Evolved:
    """A student after an action.

    Attributes:
        architecture: its backbone.
        state: its weights; tensors that did not change are shared with the parent's.
        origin: for every block, its place in the parent; None for a new one.
        notes: what a reader of the trial should know, such as a lateral initialised afresh.
        removed: places, in the parent, of blocks that are gone.
    """

    architecture: Architecture
    state: State
    origin: dict[Place, Place | None]
    notes: tuple[str, ...] = ()
    removed: tuple[Place, ...] = ()


def evolve(
    architecture: Architecture, state: Mapping[str, Tensor], action: Action, seed: int
) -> Evolved:
    """Carry out an action; a pure function, the parent's tensors are not modified.

    What is outside the backbone and the neck's laterals passes through untouched.

    Raises:
        InvalidActionError: the action cannot be taken on this parent.
        WeightsMismatchError: the weights are not of this architecture.
    """
    state = dict(state)
    blocks = {name: value for name, value in state.items() if name.startswith("backbone.layer")}
    check_state(blocks, expected_tensors(architecture))
    check_laterals(architecture, state)
    try:
        return _applied(architecture, state, action, seed)
    except UserError as error:
        raise InvalidActionError(error.problem, error.remedy) from error


def _applied(architecture: Architecture, state: State, action: Action, seed: int) -> Evolved:
    match action:
        case ChannelPruning():
            pruned, weights = prune_channels(architecture, state, action)
            origin: dict[Place, Place | None] = {p.place: p.place for p in pruned.blocks}
            return Evolved(pruned, weights, origin)
        case LayerPruning():
            morphism = prune_least_layer(architecture, state, action)
        case AddLayer():
            morphism = add_layer(architecture, action.stage)
        case Rearrange():
            morphism = rearrange(architecture, action.source, action.target)
        case _:
            assert_never(action)
    generator = torch.Generator().manual_seed(seed)
    weights = inherit(state, morphism)
    weights, notes = renew_laterals(architecture, weights, morphism, generator)
    stayed = set(morphism.origin.values())
    removed = tuple(placed.place for placed in architecture.blocks if placed.place not in stayed)
    return Evolved(morphism.architecture, weights, morphism.origin, notes, removed)
