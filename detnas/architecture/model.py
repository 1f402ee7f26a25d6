"""A backbone's architecture: what is stored, and what follows from it.

Stored are the family, the stem's width and the output channels of every convolution of every
block (paper, Appendix B). Strides, shortcuts and residual groups are derived, never stored.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from detnas.architecture.blocks import FAMILIES, Convolution, Family, projection

STAGES = 4
MAX_STAGE_BLOCKS = 1024
"""Blocks; a longer stage is a mistake, and must not exhaust a reader's memory."""
Width = Annotated[int, Field(ge=1, le=65536, strict=True)]


class Place(NamedTuple):
    """A block's stage and position in it, both counted from 0."""

    stage: int
    block: int


class Block(BaseModel):
    """One residual block; written to JSON as the bare list of its widths.

    Attributes:
        widths: output channels of each convolution, in order; the last is the block's own output.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    widths: tuple[Width, ...]

    @property
    def out(self) -> int:
        """Output channels of the block."""
        return self.widths[-1]

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return {"widths": value} if isinstance(value, list | tuple) else value

    @model_serializer
    def _to_list(self) -> list[int]:
        return list(self.widths)


@dataclass(frozen=True, slots=True)
class PlacedBlock:
    """A block with everything that follows from its place in the backbone."""

    place: Place
    block: Block
    inputs: int
    stride: int
    convolutions: tuple[Convolution, ...]
    projection: Convolution | None


@dataclass(frozen=True, slots=True)
class ResidualGroup:
    """A maximal run of blocks that share one residual stream.

    Attributes:
        width: channels of the stream.
        members: places of its blocks, in order.
        headed_by_stem: the stream begins at the stem, so it has no projection to rank its channels
            by, and its width never changes.
    """

    width: int
    members: tuple[Place, ...]
    headed_by_stem: bool


class Architecture(BaseModel):
    """A legal backbone: family, stem width and four stages of at least one block each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: Family = Field(description="Kind of residual block.")
    stem: Width = Field(description="Output channels of the stem.")
    stages: tuple[tuple[Block, ...], ...] = Field(
        description="Per stage, per block: output channels of every convolution."
    )

    @model_validator(mode="after")
    def _legal(self) -> "Architecture":
        if len(self.stages) != STAGES:
            raise ValueError(f"stages: {len(self.stages)} given; a backbone has {STAGES}")
        arity = FAMILIES[self.family].arity
        for number, stage in enumerate(self.stages, 1):
            if len(stage) > MAX_STAGE_BLOCKS:
                raise ValueError(
                    f"stage {number} has {len(stage)} blocks; at most {MAX_STAGE_BLOCKS} are right"
                )
            if not stage:
                raise ValueError(f"stage {number} is empty; a stage keeps at least one block")
            for position, block in enumerate(stage, 1):
                if len(block.widths) != arity:
                    raise ValueError(
                        f"stage {number}, block {position} has {len(block.widths)} widths; "
                        f"a {self.family} block has {arity}"
                    )
        return self

    @cached_property
    def blocks(self) -> tuple[PlacedBlock, ...]:
        """Every block in forward order, with its input width, stride and projection."""
        return tuple(self._place_blocks())

    def block(self, place: Place) -> PlacedBlock:
        """The block at a place.

        Raises:
            IndexError: the backbone has no such place.
        """
        before = sum(map(len, self.stages[: place.stage]))
        stage = self.blocks[before : before + len(self.stages[place.stage])]
        return stage[place.block]

    @cached_property
    def residual_groups(self) -> tuple[ResidualGroup, ...]:
        """Residual streams in forward order; every block belongs to exactly one."""
        groups: list[ResidualGroup] = []
        for placed in self.blocks:
            if placed.projection is None and groups:
                last = groups.pop()
                groups.append(
                    ResidualGroup(last.width, (*last.members, placed.place), last.headed_by_stem)
                )
            else:
                groups.append(
                    ResidualGroup(placed.block.out, (placed.place,), placed.projection is None)
                )
        return tuple(groups)

    @property
    def depths(self) -> tuple[int, ...]:
        """Number of blocks in each stage."""
        return tuple(len(stage) for stage in self.stages)

    @property
    def stage_outputs(self) -> tuple[int, ...]:
        """Output channels of each stage: the inputs of the neck's laterals."""
        return tuple(stage[-1].out for stage in self.stages)

    def _place_blocks(self) -> Iterator[PlacedBlock]:
        inputs = self.stem
        family = FAMILIES[self.family]
        for stage_index, stage in enumerate(self.stages):
            for position, block in enumerate(stage):
                stride = 2 if stage_index > 0 and position == 0 else 1
                changes = stride != 1 or inputs != block.out
                yield PlacedBlock(
                    Place(stage_index, position),
                    block,
                    inputs,
                    stride,
                    family.convolutions(block.widths, inputs, stride),
                    projection(inputs, block.out, stride) if changes else None,
                )
                inputs = block.out
