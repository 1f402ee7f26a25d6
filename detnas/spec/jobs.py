"""`spec.jobs`: what a cluster needs to run a search's jobs; `detnas run` ignores it.

The same fields exist for all jobs and for one kind of job. Typed fields only: no pod template, no
service account, no host path.
"""

from collections.abc import Container, Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from detnas.schema import Count, Schema
from detnas.spec.affinity import Affinity, ByNodes, LabelKey, LabelValue, TopologySpread
from detnas.spec.patterns import (
    BYTES,
    COUNT,
    CPU,
    ENV_NAME,
    IMAGE,
    OBJECT_NAME,
    RESOURCE_NAME,
    not_reserved_annotations,
    not_reserved_labels,
)

ObjectName = Annotated[str, Field(pattern=OBJECT_NAME, max_length=253)]
QueueName = Annotated[str, Field(pattern=OBJECT_NAME, max_length=63)]
QueueSeconds = Annotated[int, Field(ge=1, le=1_000_000_000, strict=True)]
ResourceName = Annotated[str, Field(pattern=RESOURCE_NAME, max_length=317)]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=32)]
Annotations = Annotated[
    dict[LabelKey, Annotated[str, Field(max_length=1024)]], Field(max_length=32)
]
Environment = Annotated[
    dict[
        Annotated[str, Field(pattern=ENV_NAME, max_length=64)],
        Annotated[str, Field(max_length=1024)],
    ],
    Field(max_length=32),
]
Bytes = Annotated[str, Field(pattern=BYTES, max_length=16)]
Cpu = Annotated[str, Field(pattern=CPU, max_length=16)]
CountText = Annotated[str, Field(pattern=COUNT, max_length=6)]


class Resources(Schema):
    """Requests and limits of each pod, besides GPUs."""

    cpu: Cpu | None = Field(None, description='Cores, such as "4" or "500m".')
    memory: Bytes | None = Field(None, description="Main memory, such as 32Gi.")
    ephemeral_storage: Bytes | None = Field(
        None,
        description="Disk space of the node, such as 20Gi; volumes and logs count against it.",
    )
    extended: Annotated[dict[ResourceName, CountText], Field(max_length=8)] | None = Field(
        None,
        description="Further devices that the administrator allows, such as "
        '`rdma/hca: "1"`; GPUs have fields of their own.',
    )


class Toleration(Schema):
    """A taint that the pods tolerate."""

    key: LabelKey | None = Field(None, description="Key of the taint. Default: every key.")
    operator: Literal["Equal", "Exists"] = Field(
        "Equal", description="Equal compares the value; Exists matches any."
    )
    value: LabelValue | None = Field(None, description="Value of the taint.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="Effect of the taint. Default: every effect."
    )
    toleration_seconds: Count | None = Field(
        None, description="How long a NoExecute taint is tolerated, in seconds. Default: for ever."
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


class KindFields(Schema):
    """What the pods of one kind of job request; a field left out is as for all jobs."""

    resources: Resources | None = Field(
        None, description="Requests and limits of each pod, besides GPUs."
    )
    gpu_resource: ResourceName | None = Field(
        None,
        description="Resource name of a GPU, of those that the administrator allows, such as "
        "nvidia.com/mig-1g.10gb. Default: the operator's jobs.gpuResource.",
    )
    node_selector: Labels | None = Field(None, description="Labels of the nodes that may run jobs.")
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] | None = Field(
        None, description="Taints of nodes that may run jobs nevertheless."
    )
    affinity: ByNodes | None = Field(
        None,
        description="Nodes that may run jobs, or are preferred: nodeAffinity only. podAffinity and "
        "podAntiAffinity exist only in spec.jobs.affinity.",
    )
    priority_class_name: ObjectName | None = Field(None, description="Priority of the pods.")
    runtime_class_name: ObjectName | None = Field(None, description="Runtime of the pods.")
    scheduler_name: ObjectName | None = Field(
        None, description="Scheduler of the pods. Default: the cluster's."
    )
    queue_name: QueueName | None = Field(
        None, description="Local queue of Kueue that admits the jobs."
    )
    queue_priority_class: QueueName | None = Field(
        None, description="WorkloadPriorityClass of Kueue: the order in the queue."
    )
    queue_seconds: QueueSeconds | None = Field(
        None,
        description="Total time that a job may run after Kueue admitted it, in seconds; Kueue then "
        "deactivates its Workload.",
    )
    env: Environment | None = Field(
        None,
        description="Variables of the libraries with which GPUs and nodes communicate, such as "
        "`NCCL_IB_HCA: mlx5`.",
    )
    shared_memory: Bytes | None = Field(
        None, description="Size of /dev/shm, which data loaders use. Default: 8Gi."
    )
    cache_size: Bytes | None = Field(
        None, description="Disk space for data and weights on the node. Default: 50Gi."
    )


class JobFields(KindFields):
    """What the pods of all jobs request from the cluster."""

    affinity: Affinity | None = Field(
        None,
        description="Which nodes run jobs, and near which pods; selects by matchExpressions only.",
    )
    topology_spread_constraints: (
        Annotated[tuple[TopologySpread, ...], Field(max_length=4)] | None
    ) = Field(None, description="How pods are spread over domains of nodes.")
    pod_labels: Annotated[Labels, AfterValidator(not_reserved_labels)] | None = Field(
        None, description="Further labels of the pods; reserved keys are refused."
    )
    pod_annotations: Annotated[Annotations, AfterValidator(not_reserved_annotations)] | None = (
        Field(None, description="Further annotations of the pods; reserved keys are refused.")
    )


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
    trial: KindFields | None = Field(
        None, description="Overrides for trials, and for the job that scores on the test images."
    )
    finetune: KindFields | None = Field(
        None, description="Overrides for the fine-tuning and baselines."
    )
    export: KindFields | None = Field(None, description="Overrides for the export.")


_BY_ENTRY: dict[str, type[Schema]] = {"resources": Resources, "affinity": Affinity}

BUILT_IN = JobFields(shared_memory="8Gi", cache_size="50Gi")
"""Values of fields that neither search nor administrator states."""


def layered(*layers: KindFields) -> JobFields:
    """Return the fields of several layers, of which each takes precedence over the earlier ones.

    A field of a later layer replaces the earlier one entirely: an empty list or map empties it. Of
    ``resources``, ``affinity`` and ``env`` entries are replaced one by one.
    """
    return _merged(layers, {"env"})


def enforced(fields: JobFields, forced: JobFields) -> JobFields:
    """Return the fields with forced ones: entries of maps are added, other fields replaced."""
    maps = {"env", "node_selector", "pod_labels", "pod_annotations"}
    return _merged((fields, forced), maps)


def _merged(layers: Iterable[KindFields], maps: Container[str]) -> JobFields:
    merged: dict[str, Any] = {}
    for layer in layers:
        for name in type(layer).model_fields.keys() & JobFields.model_fields.keys():
            lower, upper = merged.get(name), getattr(layer, name)
            if upper is None:
                continue
            if name in _BY_ENTRY:
                upper = _BY_ENTRY[name].model_construct(**{**_given(lower), **_given(upper)})
            merged[name] = {**(lower or {}), **upper} if name in maps else upper
    return JobFields.model_construct(**merged)  # every layer was checked


def _given(section: Schema | None) -> dict[str, Any]:
    return {name: value for name, value in section or () if value is not None}
