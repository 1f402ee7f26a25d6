"""What the structural actions do to an architecture, and where every block came from."""

from collections.abc import Sequence
from dataclasses import dataclass

from detnas.architecture import Architecture, Block, Place
from detnas.errors import UserError
from detnas.schema import Count, Schema

_Traced = tuple[Block, Place | None]
"""A block, and its place before the action; None for a new block."""


class AddedBlock(Schema):
    """A block that an add-layer action added, and how many steps ago.

    Attributes:
        place: its place now.
        age: actions and teacher changes since; 0 right after it was added.
    """

    place: Place
    age: Count = 0


@dataclass(frozen=True, slots=True)
class Morphism:
    """The architecture after an action.

    Attributes:
        architecture: the new architecture.
        origin: for every place of the new architecture, where that block was before; None for a new
            block.
    """

    architecture: Architecture
    origin: dict[Place, Place | None]


def add_layer(architecture: Architecture, stage: int) -> Morphism:
    """Append a block to the end of a stage, its inner widths copied from the stage's last block.

    The new block's shortcut is the identity: its output width is the stage's.
    """
    stages = _traced(architecture)
    stages[stage].append((architecture.stages[stage][-1], None))
    return _morphism(architecture, stages)


def prune_layer(architecture: Architecture, place: Place) -> Morphism:
    """Remove one block.

    Raises:
        UserError: the block is its stage's only one, or its shortcut is not the identity, so that
            removing it would change the residual stream.
    """
    if architecture.depths[place.stage] == 1:
        raise UserError(
            f"layer pruning: stage {place.stage + 1} has one block", "a stage keeps one block"
        )
    if not (block := architecture.block(place)).has_identity_shortcut:
        shortcut = "no shortcut" if block.projection is None else "a projection"
        raise UserError(
            f"layer pruning: block {place.block + 1} of stage {place.stage + 1} has {shortcut}",
            "only blocks whose shortcut is the identity can be removed",
        )
    stages = _traced(architecture)
    del stages[place.stage][place.block]
    return _morphism(architecture, stages)


def rearrange(architecture: Architecture, source: int, target: int) -> Morphism:
    """Move the last block of a stage to the next one, or the first block to the previous one.

    Its widths and group width go with it; stride and shortcuts follow from the new place.

    Raises:
        UserError: the stages are not neighbours, or the source has only one block.
    """
    if abs(source - target) != 1 or not 0 <= target < len(architecture.stages):
        raise UserError(
            f"rearrange: from stage {source + 1} to stage {target + 1}",
            "a block moves to a neighbouring stage",
        )
    if architecture.depths[source] == 1:
        raise UserError(
            f"rearrange: stage {source + 1} has one block", "a stage keeps at least one block"
        )
    stages = _traced(architecture)
    if target > source:
        stages[target].insert(0, stages[source].pop())
    else:
        stages[target].append(stages[source].pop(0))
    return _morphism(architecture, stages)


def age(
    added: Sequence[AddedBlock], origin: dict[Place, Place | None], limit: int
) -> tuple[AddedBlock, ...]:
    """Update the record of added blocks after a step: each is older, and at its new place.

    Args:
        added: the record before the step.
        origin: the step's `Morphism.origin`.
        limit: blocks of this age and older are forgotten.
    """
    ages = {block.place: block.age + 1 for block in added}
    aged = (
        AddedBlock(place=new, age=0 if old is None else ages[old])
        for new, old in origin.items()
        if old is None or old in ages
    )
    return tuple(block for block in aged if block.age < limit)


def _traced(architecture: Architecture) -> list[list[_Traced]]:
    return [
        [(block, Place(s, b)) for b, block in enumerate(stage)]
        for s, stage in enumerate(architecture.stages)
    ]


def _morphism(old: Architecture, stages: list[list[_Traced]]) -> Morphism:
    new = Architecture(
        family=old.family,
        stem=old.stem,
        stages=tuple(tuple(block for block, _ in stage) for stage in stages),
    )
    origin = {
        Place(s, b): place for s, stage in enumerate(stages) for b, (_, place) in enumerate(stage)
    }
    return Morphism(new, origin)
