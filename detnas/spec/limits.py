"""`spec.limits` and `spec.deadlines`: what stops a search or a job."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from detnas.schema import Fraction, Schema, added

_YEAR = 366 * 24 * 3600


def _in_seconds(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError(  # noqa: TRY004 - pydantic reports ValueErrors only
            f"{value!r} is wrong; write an integer, the number of seconds, such as 7200"
        )
    return value


Seconds = Annotated[int, Field(ge=1, le=_YEAR, strict=True), BeforeValidator(_in_seconds)]
AttemptLimit = Annotated[int, Field(ge=0, le=1000, strict=True)]


class Limits(Schema):
    """What stops a search that fails or costs too much; read on a cluster only."""

    gpu_hours: Annotated[Fraction, Field(gt=0)] | None = Field(
        None, description="GPU hours after which no job is started. Default: no limit."
    )
    consecutive_failures: Annotated[int, Field(ge=1, le=1000, strict=True)] = Field(
        8, description="Consecutive trials, lost or failed, that stop the search."
    )
    retries: AttemptLimit = Field(2, description="Further attempts of a job whose process failed.")
    resumptions: AttemptLimit = Field(
        50, description="Further attempts of a job that was stopped or lost its node."
    )


class Deadlines(Schema):
    """How long a job may be active, in seconds; read on a cluster only."""

    prepare: Seconds | None = Field(
        None, description="Seconds for the data check. Default: 21600 (6 hours) on its node."
    )
    base: Seconds | None = Field(
        None, description="Seconds for the base's training. Default: none."
    )
    pool_phase: Seconds | None = Field(
        None, description="Seconds for each phase of the pool's training. Default: none."
    )
    trial: Seconds | None = Field(
        None,
        description="Seconds for each trial, or each job of subnets. Default: five times what the "
        "base's measured speed predicts on its node, and at least 3600; none if trials request "
        "other devices than the base, or are subnets.",
    )
    finetune: Seconds | None = Field(
        None, description="Seconds for the fine-tuning. Default: none."
    )
    baseline: Seconds | None = added(
        1, description="Seconds for each of spec.baselines. Default: none."
    )
    test: Seconds | None = added(
        1, description="Seconds for scoring the test images. Default: none."
    )
    export: Seconds | None = Field(None, description="Seconds for the export. Default: none.")
