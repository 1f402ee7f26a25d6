"""A backbone's architecture: what is stored, and what follows from it.

Stored are the family, the stem's width and, of every block, its output channels (paper, Appendix B)
and in ResNeXt its group width. Strides, shortcuts and residual groups are derived, never stored.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from detnas.architecture.blocks import FAMILIES, BlockFamily, Convolution, Family, projection
from detnas.schema import added

STAGES = 4
MAX_STAGE_BLOCKS = 1024
"""Blocks; a longer stage is a mistake, and must not exhaust a reader's memory."""
Width = Annotated[int, Field(ge=1, le=65536, strict=True)]


class Place(NamedTuple):
    """A block's stage and position in it, both counted from 0."""

    stage: int
    block: int


class Block(BaseModel):
    """One residual block; written to JSON as the bare list of its widths if it has no groups.

    Attributes:
        widths: output channels, as the family's encoding lists them; the last is the block's own
            output.
        group_width: inner channels of each group of a ResNeXt block; it moves with the block.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    widths: tuple[Width, ...]
    group_width: Width | None = Field(None, alias="groupWidth")

    @property
    def out(self) -> int:
        """Output channels of the block."""
        return self.widths[-1]

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return {"widths": value} if isinstance(value, list | tuple) else value

    @model_serializer
    def _to_json(self) -> list[int] | dict[str, Any]:
        widths = list(self.widths)
        return {"widths": widths, "groupWidth": self.group_width} if self.group_width else widths


@dataclass(frozen=True, slots=True)
class PlacedBlock:
    """A block with everything that follows from its place in the backbone."""

    place: Place
    block: Block
    inputs: int
    stride: int
    convolutions: tuple[Convolution, ...]
    projection: Convolution | None

    @property
    def has_identity_shortcut(self) -> bool:
        """Whether the block's shortcut is the identity, so that the block can be left out."""
        return self.stride == 1 and self.inputs == self.block.out

    @property
    def continues_stream(self) -> bool:
        """Whether the block shares the residual stream before it.

        So does one with a projection of stride 2 between equal widths: Rearrange makes it, as a
        subsampled identity, and no other action.
        """
        strided_identity = self.projection is not None and self.inputs == self.block.out
        return self.has_identity_shortcut or strided_identity


@dataclass(frozen=True, slots=True)
class ResidualGroup:
    """A maximal run of blocks that share one residual stream.

    Attributes:
        width: channels of the stream.
        members: places of its blocks, in order.
        headed_by_stem: the stream begins at the stem, so it has no projection to rank its channels
            by, and its width never changes.

    Blocks that Rearrange moved over a border of stages remain in their group (paper, Appendix B:
    321 channels through stage 3 and in the first two blocks of stage 4).
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
    deformable: tuple[int, ...] = added(
        1, (), description="Stages, from 1, whose 3×3 convolutions are deformable."
    )

    @model_validator(mode="after")
    def _legal(self) -> "Architecture":
        if len(self.stages) != STAGES:
            raise ValueError(f"stages: {len(self.stages)} given; a backbone has {STAGES}")
        for number, stage in enumerate(self.stages, 1):
            if len(stage) > MAX_STAGE_BLOCKS:
                raise ValueError(
                    f"stage {number} has {len(stage)} blocks; at most {MAX_STAGE_BLOCKS} are right"
                )
            if not stage:
                raise ValueError(f"stage {number} is empty; a stage keeps at least one block")
            for position, block in enumerate(stage, 1):
                if problem := self.traits.problem(block.widths, block.group_width):
                    raise ValueError(f"stage {number}, block {position} has {problem}")
        if problem := self._wrong_deformable():
            raise ValueError(f"deformable: {list(self.deformable)}; {problem}")
        return self

    def _wrong_deformable(self) -> str | None:
        stages = self.deformable
        if stages and not self.traits.deforms:
            return f"{self.family} blocks have no convolution that mmdet makes deformable"
        if list(stages) != sorted(set(stages)) or not set(stages) <= set(range(1, STAGES + 1)):
            return f"it lists stages of 1 to {STAGES}, each once, in rising order"
        return None

    @property
    def traits(self) -> BlockFamily:
        """What the family's backbones have in common."""
        return FAMILIES[self.family]

    @cached_property
    def blocks(self) -> tuple[PlacedBlock, ...]:
        """Every block in forward order, with its input width, stride and projection."""
        return tuple(self._place_blocks())

    def offsets(self, placed: PlacedBlock) -> Convolution | None:
        """The convolution that gives a block's deformable one its offsets; None if it has none.

        It has a bias and no batch norm: two coordinates for each of nine taps, as in version 1 of
        deformable convolution (Dai et al. 2017).
        """
        if placed.place.stage + 1 not in self.deformable:
            return None
        own = next(one for one in placed.convolutions if one.kernel == 3)
        name = f"{own.name}.conv_offset"
        return Convolution(name, "", own.inputs, 18, 3, own.stride, activated=False)

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
            if groups and placed.continues_stream:
                last = groups.pop()
                groups.append(
                    ResidualGroup(last.width, (*last.members, placed.place), last.headed_by_stem)
                )
            else:
                groups.append(
                    ResidualGroup(placed.block.out, (placed.place,), placed.has_identity_shortcut)
                )
        return tuple(groups)

    @property
    def depths(self) -> tuple[int, ...]:
        """Number of blocks in each stage."""
        return tuple(len(stage) for stage in self.stages)

    @property
    def stage_outputs(self) -> tuple[int, ...]:
        """Output channels of each stage's last block."""
        return tuple(stage[-1].out for stage in self.stages)

    @property
    def group_widths(self) -> tuple[tuple[int, ...], ...] | None:
        """Per stage, per block: the group width; None for a family without groups."""
        if not self.traits.grouped:
            return None
        return tuple(tuple(block.group_width or 0 for block in stage) for stage in self.stages)

    @property
    def head(self) -> Convolution | None:
        """The convolution between the last block and the neck, if the family has one."""
        outputs, inputs = self.traits.head, self.stages[-1][-1].out
        if outputs is None:
            return None
        return Convolution("conv2", "bn2", inputs, outputs, 1, 1, activated=True)

    @property
    def neck_inputs(self) -> tuple[int, ...]:
        """Input channels of the neck's laterals."""
        return (*self.stage_outputs[:-1], self.traits.head or self.stage_outputs[-1])

    def _place_blocks(self) -> Iterator[PlacedBlock]:
        inputs = self.stem
        family = self.traits
        for stage_index, stage in enumerate(self.stages):
            for position, block in enumerate(stage):
                halves = position == 0 and (stage_index > 0 or not family.pools)
                stride = 2 if halves else 1
                changes = stride != 1 or inputs != block.out
                yield PlacedBlock(
                    Place(stage_index, position),
                    block,
                    inputs,
                    stride,
                    family.convolutions(block.widths, inputs, stride, block.group_width),
                    projection(inputs, block.out, stride) if changes and family.projects else None,
                )
                inputs = block.out
