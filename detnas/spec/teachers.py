"""`spec.teachers`: the elastic teacher pool and its training (paper, 3.1.3, A.1.3, table 8)."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from detnas.records.settings import (
    ACTIVATION_CHECKPOINTING,
    MICRO_BATCH,
    PRECISION,
    Distillation,
    Precision,
    Schedule,
    Training,
)
from detnas.schema import Count, Flag, Fraction, Positive, Schema, added
from detnas.spec.base import WeightsAddress
from detnas.spec.storage import StoreUri
from detnas.spec.training import Gpus
from detnas.teachers import Depths, SupernetShape, TeacherSpace, WidthFactor


class TeacherChoice(StrEnum):
    """Which teachers a search's students have (paper, 3.1.4 and figure 4)."""

    DYNAMIC = "Dynamic"
    FIXED = "Fixed"
    PER_ITERATION = "PerIteration"
    EXTERNAL = "External"


class ExternalTeacher(Schema):
    """A detector of mmdet that was trained elsewhere, as a fixed teacher."""

    config: WeightsAddress = Field(
        description="Its mmdet configuration in one file of plain values, of Python or JSON: a "
        "path or an s3:// URI."
    )
    weights: WeightsAddress = Field(description="Its checkpoint: a path or an s3:// URI.")


class DepthRange(Schema):
    """Blocks in each of the four stages."""

    min: Depths = Field((2, 2, 2, 2), description="Fewest blocks in each stage.")
    max: Depths = Field((3, 4, 23, 3), description="Most blocks in each stage.")


class PoolPhase(Schema):
    """One phase of integrated progressive shrinking; the first trains the supernet alone."""

    epochs: Positive = Field(description="Passes over the training images.")
    learning_rate: Annotated[Fraction, Field(gt=0)] = Field(description="Initial learning rate.")
    min_depths: Depths | None = Field(
        None, description="Fewest blocks of a subnet of this phase. Default: the pool's."
    )
    widths: Annotated[tuple[WidthFactor, ...], Field(min_length=1, max_length=8)] | None = Field(
        None, description="Width factors of a subnet of this phase. Default: the pool's."
    )

    @model_validator(mode="after")
    def _rising(self) -> "PoolPhase":
        if self.widths and list(self.widths) != sorted(set(self.widths)):
            raise ValueError(
                f"widths are {', '.join(map(str, self.widths))}; each once, in rising order"
            )
        return self


PAPER_PHASES = (
    PoolPhase(epochs=48, learning_rate=Decimal("0.12")),
    PoolPhase(
        epochs=24,
        learning_rate=Decimal("0.04"),
        min_depths=(3, 4, 12, 3),
        widths=(Decimal("1.25"), Decimal("1.5")),
    ),
    PoolPhase(epochs=36, learning_rate=Decimal("0.04")),
)


class Teachers(Schema):
    """The elastic pool of teachers."""

    depths: DepthRange = Field(DepthRange(), description="Depths the pool spans.")
    widths: tuple[WidthFactor, ...] = Field(
        (Decimal("1.0"), Decimal("1.25"), Decimal("1.5")),
        min_length=1,
        max_length=8,
        description="Width factors of stem, stages and neck.",
    )
    supernet: SupernetShape = Field(
        SupernetShape(), description="Channels at a width factor of 1.0."
    )
    phases: tuple[PoolPhase, ...] = Field(
        PAPER_PHASES,
        min_length=1,
        max_length=8,
        description="Phases of integrated progressive shrinking; the first is the supernet's.",
    )
    batch_size: Positive = Field(64, description="Images per step of the entire job.")
    schedule: Schedule = Field(Schedule.STEP, description="How the learning rate falls.")
    warmup_iterations: Count = Field(500, description="Steps of linear warm-up in each phase.")
    micro_batch: Positive | None = added(1, description=MICRO_BATCH)
    precision: Precision | None = added(1, description=PRECISION + " By default Auto.")
    activation_checkpointing: Flag = added(1, default=False, description=ACTIVATION_CHECKPOINTING)
    zero_init_residual: Flag = added(
        1,
        default=True,
        description="As base.zeroInitResidual, for the supernet's training.",
    )
    sort_channels: Flag = Field(
        True, description="Order channels by importance once, before the first shrinking phase."
    )
    distillation: Distillation = Field(
        Distillation(bn_weight=Decimal(0)),
        description="How the supernet teaches subnets. bnWeight is 0 by default, since the pool is "
        "not pruned.",
    )
    bn_images: Positive = Field(
        32, description="Images over which a teacher's batch norm statistics are computed."
    )
    seed: Count = Field(0, description="Seed of the pool's training.")
    workers: Annotated[int, Field(ge=1, le=256, strict=True)] = Field(
        1, description="Pods that train the pool together on a cluster."
    )
    gpus_per_worker: Gpus = Field(
        1, description="GPUs of each of them, a process on each; 0 uses cores."
    )
    choice: TeacherChoice = added(
        1,
        TeacherChoice.DYNAMIC,
        description="Dynamic: trials search the teacher. Fixed: the supernet teaches all students. "
        "PerIteration: for each step of a training one of 16 subnets is drawn. External: that of "
        "external teaches all students, and no pool is trained.",
    )
    external: ExternalTeacher | None = added(
        1,
        description="A detector trained elsewhere, as a teacher: of all students with choice "
        "External, otherwise of the fine-tuning alone, while the pool teaches the trials.",
    )
    pool: StoreUri | None = Field(
        None,
        description="Address of a trained pool's folder. Default: an equal pool is found or "
        "trained.",
    )

    @model_validator(mode="after")
    def _phases_lie_in_the_space(self) -> "Teachers":
        space = self.space
        for number, phase in enumerate(self.phases):
            if not _lies_in(phase, space):
                raise ValueError(
                    f"phases[{number}] draws subnets outside depths and widths of the pool; "
                    f"minDepths may be {list(space.min_depths)} to {list(space.max_depths)}, "
                    f"widths from {', '.join(map(str, space.widths))}"
                )
            if number > 0 and self.phase_space(number).largest != space.largest:
                raise ValueError(
                    f"phases[{number}].widths leaves out {space.widths[-1]}; "
                    "the supernet stays part of every phase"
                )
        return self

    @model_validator(mode="after")
    def _external_alone(self) -> "Teachers":
        if self.choice is TeacherChoice.EXTERNAL:
            if self.external is None:
                raise ValueError("choice External needs external; give its config and weights")
            if self.pool is not None:
                raise ValueError("with choice External no pool teaches; leave pool out")
        return self

    @model_validator(mode="after")
    def _supernet_holds_every_projection(self) -> "Teachers":
        self.supernet.check_projections(self.space)
        return self

    @property
    def space(self) -> TeacherSpace:
        """Every teacher of the pool."""
        return TeacherSpace(
            min_depths=self.depths.min, max_depths=self.depths.max, widths=self.widths
        )

    @property
    def trained_phases(self) -> tuple[PoolPhase, ...]:
        """The phases of the pool; none if the external teacher teaches all students."""
        return () if self.choice is TeacherChoice.EXTERNAL else self.phases

    @property
    def are_searched(self) -> bool:
        """Whether a trial may change its teacher; otherwise it trains its student further."""
        return self.choice is TeacherChoice.DYNAMIC

    @property
    def search_space(self) -> TeacherSpace:
        """The teachers that a search may propose: the supernet alone if it does not search them."""
        return self.space if self.are_searched else self.phase_space(0)

    def phase_space(self, number: int) -> TeacherSpace:
        """The subnets that a phase draws; the first phase's is the supernet alone."""
        phase, space = self.phases[number], self.space
        if number == 0:
            return TeacherSpace(
                min_depths=space.max_depths,
                max_depths=space.max_depths,
                widths=space.widths[-1:],
            )
        return TeacherSpace(
            min_depths=phase.min_depths or space.min_depths,
            max_depths=space.max_depths,
            widths=phase.widths or space.widths,
        )

    def phase_training(self, number: int) -> Training:
        """The schedule of a phase."""
        phase = self.phases[number]
        return Training(
            epochs=phase.epochs,
            learning_rate=phase.learning_rate,
            batch_size=self.batch_size,
            schedule=self.schedule,
            warmup_iterations=self.warmup_iterations,
            micro_batch=self.micro_batch,
            precision=self.precision,
            activation_checkpointing=self.activation_checkpointing,
        )


def _lies_in(phase: PoolPhase, space: TeacherSpace) -> bool:
    depths = zip(space.min_depths, phase.min_depths or (), space.max_depths, strict=False)
    return set(phase.widths or ()) <= set(space.widths) and all(
        low <= depth <= high for low, depth, high in depths
    )
