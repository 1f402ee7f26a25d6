"""`spec.jobs`: what a cluster must know to run a search's jobs; one machine reads none of it."""

from typing import Annotated, Literal

from pydantic import Field

from detnas.spec.affinity import LabelKey, LabelValue
from detnas.spec.job_fields import JobFields, KindFields, ObjectName
from detnas.spec.patterns import IMAGE

__all__ = ["Jobs", "LabelKey", "LabelValue"]


class Jobs(JobFields):
    """How jobs run on a cluster; one machine reads none of it."""

    image: Annotated[str, Field(pattern=IMAGE, max_length=512)] | None = Field(
        None, description="Trainer image; left out, the operator's."
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        None, description="When the image is pulled; left out, the operator's choice."
    )
    image_pull_secrets: tuple[ObjectName, ...] = Field(
        (), max_length=16, description="Names of Secrets in the search's namespace."
    )
    termination_grace_period_seconds: Annotated[int, Field(ge=0, le=86_400, strict=True)] = Field(
        120, description="Time that a job has to write a checkpoint when it is stopped, in seconds."
    )
    prepare: KindFields | None = Field(None, description="Overrides for the data check.")
    base: KindFields | None = Field(None, description="Overrides for the base's job.")
    pool: KindFields | None = Field(None, description="Overrides for the pool's jobs.")
    trial: KindFields | None = Field(None, description="Overrides for trials.")
    finetune: KindFields | None = Field(None, description="Overrides for the fine-tuning.")
    export: KindFields | None = Field(None, description="Overrides for the export.")
