"""Teachers: subnets of the elastic pool, the space they form, and the mutations of each.

Six width slots (stem, four stages, neck) and four depths describe a teacher (paper, 4 and
A.1.3). A depth keeps the first blocks of a stage, a width the first channels.
"""

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from itertools import product
from math import prod
from random import Random
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, model_validator

from detnas.architecture import FAMILIES, Architecture, Block, Family
from detnas.architecture.model import MAX_STAGE_BLOCKS
from detnas.errors import UserError
from detnas.schema import Fraction, Positive, Schema

Depth = Annotated[int, Field(ge=1, le=MAX_STAGE_BLOCKS, strict=True)]
Depths = tuple[Depth, Depth, Depth, Depth]
_WIDTH_DIGITS = 6


def _short(width: Decimal) -> Decimal:
    if len(width.as_tuple().digits) > _WIDTH_DIGITS:
        raise ValueError(f"{width} is wrong; write at most {_WIDTH_DIGITS} digits")
    return width


WidthFactor = Annotated[
    Fraction,
    AfterValidator(_short),
    Field(gt=0, le=16, json_schema_extra={"max_digits": _WIDTH_DIGITS}),
]
SLOTS = ("stem", "stage 1", "stage 2", "stage 3", "stage 4", "neck")
_MUTABLE_SHARE = 6


class Teacher(Schema):
    """One subnet of the pool."""

    depths: Depths
    widths: tuple[WidthFactor, WidthFactor, WidthFactor, WidthFactor, WidthFactor, WidthFactor]


class TeacherSpace(Schema):
    """The subnets a pool, or one phase of its training, may draw."""

    min_depths: Depths = Field((2, 2, 2, 2), description="Fewest blocks in each stage.")
    max_depths: Depths = Field((3, 4, 23, 3), description="Most blocks in each stage.")
    widths: tuple[WidthFactor, ...] = Field(
        (Decimal("1.0"), Decimal("1.25"), Decimal("1.5")),
        min_length=1,
        description="Width factors a slot may take.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> "TeacherSpace":
        for stage, (low, high) in enumerate(zip(self.min_depths, self.max_depths, strict=True), 1):
            if low > high:
                raise ValueError(
                    f"minDepths of stage {stage} is {low}, above maxDepths {high}; "
                    "the minimum may be at most the maximum"
                )
        if list(self.widths) != sorted(set(self.widths)):
            raise ValueError(
                f"widths are {', '.join(map(str, self.widths))}; each once, in rising order"
            )
        return self

    @property
    def largest(self) -> Teacher:
        """The supernet itself."""
        return Teacher(depths=self.max_depths, widths=_fill(self.widths[-1]))

    @property
    def smallest(self) -> Teacher:
        """The subnet of least depth and width."""
        return Teacher(depths=self.min_depths, widths=_fill(self.widths[0]))

    def count(self, resolutions: int = 1) -> int:
        """Number of subnets, times the resolutions each may run at (paper: roughly 765,000)."""
        depths = prod(
            high - low + 1 for low, high in zip(self.min_depths, self.max_depths, strict=True)
        )
        widths: int = len(self.widths) ** len(SLOTS)
        return depths * widths * resolutions

    def contains(self, teacher: Teacher) -> bool:
        """Whether the teacher is in this space."""
        return all(w in self.widths for w in teacher.widths) and all(
            low <= depth <= high
            for low, depth, high in zip(
                self.min_depths, teacher.depths, self.max_depths, strict=True
            )
        )

    def sample(self, random: Random) -> Teacher:
        """Draw a subnet, every slot uniformly."""
        depths = tuple(
            random.randint(low, high)
            for low, high in zip(self.min_depths, self.max_depths, strict=True)
        )
        return Teacher.model_validate(
            {"depths": depths, "widths": tuple(random.choice(self.widths) for _ in SLOTS)}
        )

    def subnets(self) -> Iterator[Teacher]:
        """Yield every subnet."""
        ranges = [
            range(low, high + 1) for low, high in zip(self.min_depths, self.max_depths, strict=True)
        ]
        for depths in product(*ranges):
            for widths in product(self.widths, repeat=len(SLOTS)):
                yield Teacher.model_validate({"depths": depths, "widths": widths})

    def mutations(self, teacher: Teacher) -> tuple[tuple[Teacher, ...], ...]:
        """The teachers one mutation away, grouped by slot: four depths, then six widths.

        A depth moves by at most a sixth of its range, at least by 1; a width takes any other
        allowed value. Slots with a single value are left out.
        """
        slots = [self._depth_mutations(teacher, stage) for stage in range(len(teacher.depths))]
        slots += [self._width_mutations(teacher, slot) for slot in range(len(SLOTS))]
        return tuple(slot for slot in slots if slot)

    def _depth_mutations(self, teacher: Teacher, stage: int) -> tuple[Teacher, ...]:
        low, high = self.min_depths[stage], self.max_depths[stage]
        reach = max(1, (high - low) // _MUTABLE_SHARE)
        now = teacher.depths[stage]
        return tuple(
            teacher.model_copy(update={"depths": _replaced(teacher.depths, stage, depth)})
            for depth in range(max(low, now - reach), min(high, now + reach) + 1)
            if depth != now
        )

    def _width_mutations(self, teacher: Teacher, slot: int) -> tuple[Teacher, ...]:
        return tuple(
            teacher.model_copy(update={"widths": _replaced(teacher.widths, slot, width)})
            for width in self.widths
            if width != teacher.widths[slot]
        )


class SupernetShape(Schema):
    """Channels at a width factor of 1.0; the defaults are ResNet's and FPN's."""

    family: Literal[Family.BASIC, Family.BOTTLENECK] = Field(
        Family.BOTTLENECK, description="Kind of residual block."
    )
    stem: Positive = Field(64, description="Stem channels at width 1.0.")
    inner: tuple[Positive, Positive, Positive, Positive] = Field(
        (64, 128, 256, 512), description="Inner channels of each stage's blocks at width 1.0."
    )
    outputs: tuple[Positive, Positive, Positive, Positive] = Field(
        (256, 512, 1024, 2048), description="Output channels of each stage at width 1.0."
    )
    neck: Positive = Field(256, description="Channels of the neck at width 1.0.")

    def architecture(self, teacher: Teacher) -> Architecture:
        """The backbone of a teacher."""
        stem, *stages, _ = teacher.widths
        inner_layers = FAMILIES[self.family].arity - 1
        return Architecture(
            family=self.family,
            stem=channels(self.stem, stem),
            stages=tuple(
                (
                    Block(
                        widths=(
                            *(channels(inner, factor),) * inner_layers,
                            channels(out, factor),
                        )
                    ),
                )
                * depth
                for inner, out, factor, depth in zip(
                    self.inner, self.outputs, stages, teacher.depths, strict=True
                )
            ),
        )

    def neck_width(self, teacher: Teacher) -> int:
        """Channels of a teacher's neck."""
        return channels(self.neck, teacher.widths[-1])

    def subnet_like(
        self, architecture: Architecture, neck: int, space: TeacherSpace
    ) -> Teacher | None:
        """The subnet that is the same detector as another one; None if there is none.

        Args:
            architecture: the other's backbone.
            neck: channels of its neck.
            space: the subnets.
        """
        bases = (self.stem, *self.outputs, self.neck)
        ends = (stage[-1].out for stage in architecture.stages)
        wanted = zip(bases, (architecture.stem, *ends, neck), strict=True)
        fitting = [[w for w in space.widths if channels(base, w) == n] for base, n in wanted]
        if not all(fitting):
            return None
        widths = tuple(some[0] for some in fitting)
        subnet = Teacher.model_validate({"depths": architecture.depths, "widths": widths})
        same = space.contains(subnet) and self.architecture(subnet) == architecture
        return subnet if same else None

    def check_projections(self, space: TeacherSpace) -> None:
        """Check that the supernet has every projection that a teacher needs.

        Only the first block's depends on widths; all others follow from the stride.

        Raises:
            UserError: stem and stage 1 are equally wide at full width, and differ in a teacher.
        """
        full = channels(self.stem, space.widths[-1])
        if full == channels(self.outputs[0], space.widths[-1]) and len(space.widths) > 1:
            raise UserError(
                f"supernet: stem and outputs of stage 1 both have {full} channels at full width, "
                "so its first block has no projection, which narrower teachers need",
                "give the two different widths",
            )


def channels(base: int, factor: Decimal) -> int:
    """Channels of a width factor: rounded half up, at least one."""
    return max(1, int((base * factor).to_integral_value(ROUND_HALF_UP)))


def _fill(
    width: Decimal,
) -> tuple[Decimal, Decimal, Decimal, Decimal, Decimal, Decimal]:
    return (width, width, width, width, width, width)


T = TypeVar("T")


def _replaced(values: tuple[T, ...], position: int, value: T) -> tuple[T, ...]:
    return (*values[:position], value, *values[position + 1 :])
