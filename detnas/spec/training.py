"""What every training in the manifest has in common: its fields are those of a job's schedule."""

from typing import Annotated

from pydantic import Field

from detnas.records.settings import (
    ACTIVATION_CHECKPOINTING,
    MICRO_BATCH,
    PRECISION,
    Precision,
    Schedule,
    Training,
)
from detnas.schema import Count, Flag, Fraction, Positive, Schema, added

Gpus = Annotated[int, Field(ge=0, le=16, strict=True)]
"""GPUs of one pod; 0 trains on its cores."""


class TrainingSettings(Schema):
    """A training as the manifest describes it; each kind has the paper's defaults."""

    epochs: Count = Field(description="Passes over the training images.")
    learning_rate: Annotated[Fraction, Field(gt=0)] = Field(description="Initial learning rate.")
    batch_size: Positive = Field(description="Images per step of the entire job.")
    schedule: Schedule = Field(description="How the learning rate falls.")
    warmup_iterations: Count = Field(description="Steps of linear warm-up.")
    micro_batch: Positive | None = added(1, description=MICRO_BATCH)
    precision: Precision | None = added(1, description=PRECISION + " By default Auto.")
    activation_checkpointing: Flag = added(1, default=False, description=ACTIVATION_CHECKPOINTING)

    @property
    def training(self) -> Training:
        """The same as a job's schedule."""
        return Training(**{name: getattr(self, name) for name in TrainingSettings.model_fields})
