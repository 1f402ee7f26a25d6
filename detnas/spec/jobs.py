"""`spec.jobs`: how a cluster runs a search's jobs; `detnas run` ignores it."""

from typing import Annotated, Literal

from pydantic import Field

from detnas.spec.affinity import LabelKey, LabelValue
from detnas.spec.job_fields import JobFields, KindFields, ObjectName
from detnas.spec.patterns import IMAGE

__all__ = ["Jobs", "LabelKey", "LabelValue"]


class Jobs(JobFields):
    """How jobs run on a cluster; `detnas run` ignores it."""

    image: Annotated[str, Field(pattern=IMAGE, max_length=512)] | None = Field(
        None, description="Trainer image. Default: the operator's."
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        None, description="When the image is pulled. Default: the operator's choice."
    )
    image_pull_secrets: tuple[ObjectName, ...] = Field(
        (), max_length=16, description="Names of Secrets in the search's namespace, as strings."
    )
    termination_grace_period_seconds: Annotated[int, Field(ge=0, le=86_400, strict=True)] = Field(
        120, description="Time in which a stopped job writes a checkpoint, in seconds."
    )
    prepare: KindFields | None = Field(None, description="Overrides for the data check.")
    base: KindFields | None = Field(None, description="Overrides for the base's job.")
    pool: KindFields | None = Field(None, description="Overrides for the pool's jobs.")
    trial: KindFields | None = Field(None, description="Overrides for trials.")
    finetune: KindFields | None = Field(None, description="Overrides for the fine-tuning.")
    export: KindFields | None = Field(None, description="Overrides for the export.")
