"""The administrator's policy for all Jobs, and for those of a namespace."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field
from pydantic.alias_generators import to_camel

from detnas.schema import Fraction, Schema
from detnas.spec.jobs import JobFields, Resources, layered

POLICY_FOR_ALL = "jobs.policy"
"""Path of the rules for all namespaces in the values."""

Positive = Annotated[int, Field(ge=1, le=100_000, strict=True)]
Patterns = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=512)], ...], Field(max_length=100)
]


class Allowed(Schema):
    """Values that a search may name; ``*`` is any text. Left out: any value; empty: none."""

    images: Patterns | None = Field(
        None, description="Images of spec.jobs.image; trainer.image is always allowed."
    )
    priority_class_names: Patterns | None = Field(None, description="Priority classes.")
    queue_names: Patterns | None = Field(None, description="Local queues of Kueue.")
    queue_priority_classes: Patterns | None = Field(
        None, description="WorkloadPriorityClasses of Kueue."
    )
    runtime_class_names: Patterns | None = Field(None, description="Runtime classes.")
    scheduler_names: Patterns | None = Field(None, description="Schedulers.")
    gpu_resources: Patterns | None = Field(
        None, description="Resources of GPUs beside jobs.gpuResource; left out, none."
    )
    extended_resources: Patterns | None = Field(
        None, description="Resources of other devices, such as rdma/hca; left out, none."
    )


class Maximum(Schema):
    """The most that a search may request; a field left out sets no bound."""

    resources: Resources | None = Field(
        None,
        description="Of each pod, besides GPUs. A pod without cpu, memory or ephemeralStorage "
        "gets this much; of extended it gets only what it states.",
    )
    gpus: Annotated[int, Field(ge=0, le=16, strict=True)] | None = Field(
        None, description="GPUs of each pod."
    )
    parallelism: Positive | None = Field(None, description="Concurrent trials.")
    gpu_hours: Annotated[Fraction, Field(gt=0)] | None = Field(
        None, description="GPU hours of a search, above 0; the limit of one that states none."
    )
    searches: Positive | None = Field(
        None, description="Concurrent searches of a namespace; others wait."
    )


class JobPolicy(Schema):
    """An administrator's policy for Jobs."""

    defaults: JobFields = Field(
        JobFields(), description="As in spec.jobs, for fields that a search leaves out."
    )
    forced: JobFields = Field(
        JobFields(),
        description="As in spec.jobs, whatever a search states; not checked against maximum.",
    )
    allowed: Allowed = Field(Allowed(), description="Values that a search may name.")
    maximum: Maximum = Field(Maximum(), description="The most that a search may request.")


@dataclass(frozen=True, slots=True)
class Rules:
    """The policy of one namespace, and where its rules are in the chart's values.

    Attributes:
        policy: of the namespace: its own rules, and those for all if it has none.
        own: its own rules alone.
        prefix: of their paths in the values, such as ``namespaces[team-a].policy``.
        gpu_resource: name of a GPU's resource unless a policy names another.
    """

    policy: JobPolicy
    own: JobPolicy
    prefix: str
    gpu_resource: str

    def path(self, section: str, field: str) -> str:
        """Return the path of a rule in the values, such as ``jobs.policy.maximum.gpus``.

        Args:
            section: ``allowed`` or ``maximum``.
            field: as the models name it, such as ``resources.cpu``.
        """
        value: Any = getattr(self.own, section)
        for part in field.split("."):
            value = None if value is None else getattr(value, part)
        prefix = self.prefix if value is not None else POLICY_FOR_ALL
        return ".".join((prefix, *map(to_camel, (section, *field.split(".")))))


def rules_of(
    everywhere: JobPolicy,
    own: JobPolicy,
    prefix: str = POLICY_FOR_ALL,
    gpu_resource: str = "nvidia.com/gpu",
) -> Rules:
    """Return the rules of a namespace: each of its own fields overrides that for all.

    Args:
        everywhere: the policy for all namespaces.
        own: the policy of this one.
        prefix: of its path in the values.
        gpu_resource: name of a GPU's resource unless a policy names another.
    """
    limits = [policy.maximum.resources for policy in (everywhere, own)]
    resources = layered(*(JobFields(resources=limit) for limit in limits)).resources
    merged = JobPolicy.model_construct(
        defaults=layered(everywhere.defaults, own.defaults),
        forced=layered(everywhere.forced, own.forced),
        allowed=everywhere.allowed.model_copy(update=_set_fields(own.allowed)),
        maximum=everywhere.maximum.model_copy(
            update={**_set_fields(own.maximum), "resources": resources}
        ),
    )
    return Rules(merged, own, prefix, gpu_resource)


def _set_fields(section: Schema) -> dict[str, Any]:
    return {name: value for name, value in section if value is not None}
