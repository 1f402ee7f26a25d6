"""Which actions a student can take, and at which places."""

from collections.abc import Sequence

from detnas.actions.morphism import AddedBlock
from detnas.actions.types import (
    Action,
    ActionKind,
    ActionOptions,
    AddLayer,
    ChannelPruning,
    LayerPruning,
    Rearrange,
)
from detnas.architecture import Architecture, Place

PROTECTED_STEPS = 3
"""For this many steps of its lineage an added block is exempt from layer pruning."""


def prunable_places(
    architecture: Architecture, protected: Sequence[Place] = ()
) -> tuple[Place, ...]:
    """Blocks that layer pruning may remove.

    Their shortcut is the identity, and they are neither protected nor their stage's only ones.
    """
    return tuple(
        placed.place
        for placed in architecture.blocks
        if placed.has_identity_shortcut
        and architecture.depths[placed.place.stage] > 1
        and placed.place not in protected
    )


def legal_actions(
    architecture: Architecture, added: Sequence[AddedBlock], options: ActionOptions
) -> dict[ActionKind, tuple[Action, ...]]:
    """Every action the student can take, by kind; kinds without a legal place are left out."""
    protected = tuple(block.place for block in added if block.age < PROTECTED_STEPS)
    actions: dict[ActionKind, tuple[Action, ...]] = {
        ActionKind.CHANNEL_PRUNING: _channel_pruning(architecture, options),
        ActionKind.LAYER_PRUNING: (
            (LayerPruning(norm=options.layer_norm, protected=protected),)
            if prunable_places(architecture, protected)
            else ()
        ),
        ActionKind.ADD_LAYER: tuple(AddLayer(stage=s) for s in range(len(architecture.stages))),
        ActionKind.REARRANGE: _rearrangements(architecture),
    }
    return {kind: places for kind, places in actions.items() if places}


def _channel_pruning(
    architecture: Architecture, options: ActionOptions
) -> tuple[ChannelPruning, ...]:
    """Legal while some convolution whose width can change is wider than the minimum."""
    blocks = (placed.block for placed in architecture.blocks)
    inner = (
        width > (block.group_width or options.minimum_channels)
        for block in blocks
        for width in block.widths[:-1]
    )
    streams = (
        group.width > options.minimum_channels
        for group in architecture.residual_groups
        if not group.headed_by_stem
    )
    if not any((*inner, *streams)):
        return ()
    return (
        ChannelPruning(
            fraction=options.channel_fraction,
            minimum_channels=options.minimum_channels,
            channel_divisor=options.channel_divisor,
        ),
    )


def _rearrangements(architecture: Architecture) -> tuple[Rearrange, ...]:
    stages = range(len(architecture.stages))
    return tuple(
        Rearrange(source=source, target=target)
        for source in stages
        for target in (source - 1, source + 1)
        if target in stages and architecture.depths[source] > 1
    )
