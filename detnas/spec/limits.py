"""`spec.limits` and `spec.deadlines`: what stops a search, or a job, that goes wrong."""

from typing import Annotated

from pydantic import Field

from detnas.schema import Fraction, Schema

_YEAR = 366 * 24 * 3600
Seconds = Annotated[int, Field(ge=1, le=_YEAR, strict=True)]
Number = Annotated[int, Field(ge=0, le=1000, strict=True)]


class Limits(Schema):
    """What stops a search that goes wrong or costs too much; read on a cluster only."""

    gpu_hours: Annotated[Fraction, Field(gt=0)] | None = Field(
        None, description="GPU hours after which no job is started; left out, there is no limit."
    )
    consecutive_failures: Annotated[int, Field(ge=1, le=1000, strict=True)] = Field(
        8, description="Trials lost or failed one after the other that stop the search."
    )
    retries: Number = Field(2, description="New attempts at a job whose process failed.")
    resumptions: Number = Field(
        50, description="New attempts at a job that was stopped and left a checkpoint."
    )


class Deadlines(Schema):
    """How long a job may run, in seconds; read on a cluster only."""

    prepare: Seconds | None = Field(
        None, description="Of the data check; left out, 6 hours on its node."
    )
    base: Seconds | None = Field(None, description="Of the base's training; left out, none.")
    pool_phase: Seconds | None = Field(
        None, description="Of each phase of the pool's training; left out, none."
    )
    trial: Seconds | None = Field(
        None,
        description="Of each trial; left out, five times what the base's measured speed predicts "
        "on its node, and at least an hour; none where trials ask for other devices than the base.",
    )
    finetune: Seconds | None = Field(None, description="Of the fine-tuning; left out, none.")
    export: Seconds | None = Field(None, description="Of the export; left out, none.")
