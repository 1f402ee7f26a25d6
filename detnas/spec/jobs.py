"""`spec.jobs`: what a cluster must know to run a search's jobs; one machine reads none of it.

Typed fields only: no pod template, no service account, no host path.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from detnas.schema import Count, Schema
from detnas.spec.patterns import (
    BYTES,
    CPU,
    IMAGE,
    LABEL_KEY,
    LABEL_VALUE,
    OBJECT_NAME,
)
from detnas.spec.reserved import not_reserved_annotations, not_reserved_labels

ObjectName = Annotated[str, Field(pattern=OBJECT_NAME, max_length=253)]
LabelKey = Annotated[str, Field(pattern=LABEL_KEY, max_length=317)]
LabelValue = Annotated[str, Field(pattern=LABEL_VALUE, max_length=63)]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=32)]
Annotations = Annotated[
    dict[LabelKey, Annotated[str, Field(max_length=1024)]], Field(max_length=32)
]
Bytes = Annotated[str, Field(pattern=BYTES, max_length=16)]
Cpu = Annotated[str, Field(pattern=CPU, max_length=16)]


class Resources(Schema):
    """What each pod requests and is limited to, besides GPUs."""

    cpu: Cpu | None = Field(None, description='Cores, such as "4" or "500m".')
    memory: Bytes | None = Field(None, description="Main memory, such as 32Gi.")
    ephemeral_storage: Bytes | None = Field(None, description="Space on the node, such as 20Gi.")


class Toleration(Schema):
    """A taint that the pods tolerate, as in a pod's spec."""

    key: LabelKey | None = Field(None, description="Key of the taint; left out, every key.")
    operator: Literal["Equal", "Exists"] = Field(
        "Equal", description="Equal compares the value; Exists takes any."
    )
    value: LabelValue | None = Field(None, description="Value of the taint.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="Effect of the taint; left out, every effect."
    )
    toleration_seconds: Count | None = Field(
        None, description="How long a NoExecute taint is tolerated; left out, for ever."
    )

    @model_validator(mode="after")
    def _as_kubernetes_wants(self) -> "Toleration":
        if self.key is None and self.operator != "Exists":
            raise ValueError("a toleration without key needs operator: Exists")
        if self.value and self.operator == "Exists":
            raise ValueError("operator Exists takes no value; leave value out, or write Equal")
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            raise ValueError("tolerationSeconds needs effect: NoExecute")
        return self


class Jobs(Schema):
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
    resources: Resources = Field(Resources(), description="Of each pod, besides GPUs.")
    node_selector: Labels = Field({}, description="Labels of the nodes that may run jobs.")
    tolerations: tuple[Toleration, ...] = Field(
        (), max_length=32, description="Taints of nodes that may run jobs all the same."
    )
    priority_class_name: ObjectName | None = Field(None, description="Priority of the pods.")
    runtime_class_name: ObjectName | None = Field(None, description="Runtime of the pods.")
    queue_name: Annotated[str, Field(pattern=OBJECT_NAME, max_length=63)] | None = Field(
        None, description="Local queue of Kueue that admits the jobs."
    )
    pod_labels: Annotated[Labels, AfterValidator(not_reserved_labels)] = Field(
        {}, description="Further labels of the pods."
    )
    pod_annotations: Annotated[Annotations, AfterValidator(not_reserved_annotations)] = Field(
        {}, description="Further annotations of the pods."
    )
    shared_memory: Bytes = Field("8Gi", description="Size of /dev/shm, which data loaders use.")
    cache_size: Bytes = Field("50Gi", description="Room for data and weights on the node.")
    termination_grace_period_seconds: Annotated[int, Field(ge=0, le=86_400, strict=True)] = Field(
        120, description="Time that a job has to write a checkpoint when it is stopped, in seconds."
    )
