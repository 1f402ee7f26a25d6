"""What the administrator decides of all Jobs, and of those of a namespace."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from detnas.schema import Fraction, Schema
from detnas.spec.job_fields import JobFields, Resources, layered

Positive = Annotated[int, Field(ge=1, le=100_000, strict=True)]
Patterns = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=512)], ...], Field(max_length=100)
]


class Allowed(Schema):
    """Values that a search may name; ``*`` stands for any text, a field left out for any value."""

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
    """The most that a search may ask for; a field left out sets no bound."""

    resources: Resources | None = Field(
        None, description="Of each pod, besides GPUs; what a search leaves out is this."
    )
    gpus: Annotated[int, Field(ge=0, le=16, strict=True)] | None = Field(
        None, description="GPUs of each pod."
    )
    parallelism: Positive | None = Field(None, description="Trials at the same time.")
    gpu_hours: Annotated[Fraction, Field(gt=0)] | None = Field(
        None, description="GPU hours of a search; one that names no limit has this one."
    )
    searches: Positive | None = Field(
        None, description="Searches of a namespace at the same time; others wait."
    )


class JobPolicy(Schema):
    """What an administrator decides of Jobs."""

    defaults: JobFields = Field(
        JobFields(), description="What holds where a search says nothing, as in spec.jobs."
    )
    forced: JobFields = Field(
        JobFields(), description="What holds whatever a search says, as in spec.jobs."
    )
    allowed: Allowed = Field(Allowed(), description="Values that a search may name.")
    maximum: Maximum = Field(Maximum(), description="The most that a search may ask for.")


@dataclass(frozen=True, slots=True)
class Rules:
    """The policy of one namespace, and where its rules stand in the chart's values.

    Attributes:
        policy: of the namespace: its own rules, and those for all where it has none.
        own: its own rules alone.
        place: where those stand, such as ``namespaces[team-a].policy``.
        gpu_resource: what a GPU is called where nobody says it.
    """

    policy: JobPolicy
    own: JobPolicy
    place: str
    gpu_resource: str

    def path(self, section: str, field: str) -> str:
        """Return where a rule stands in the values, such as ``jobs.policy.maximum.gpus``.

        Args:
            section: ``allowed`` or ``maximum``.
            field: as the models name it; one of ``resources`` with that before it and a point.
        """
        found: Any = getattr(self.own, section)
        for part in field.split("."):
            found = None if found is None else getattr(found, part)
        place = self.place if found is not None else ALL
        names = [part.split("_") for part in (section, *field.split("."))]
        camel = (head + "".join(word.title() for word in rest) for head, *rest in names)
        return ".".join((place, *camel))


ALL = "jobs.policy"
"""Where the rules for all namespaces stand in the values."""


def rules_of(
    everywhere: JobPolicy, own: JobPolicy, place: str = ALL, gpu_resource: str = "nvidia.com/gpu"
) -> Rules:
    """Return the rules of a namespace: each of its own fields goes before that for all.

    Args:
        everywhere: the policy for all namespaces.
        own: what is said of this one.
        place: where that stands in the values.
        gpu_resource: what a GPU is called where nobody says it.
    """
    limits = [one.maximum.resources for one in (everywhere, own)]
    resources = layered(*(JobFields(resources=one) for one in limits)).resources
    merged = JobPolicy.model_construct(
        defaults=layered(everywhere.defaults, own.defaults),
        forced=layered(everywhere.forced, own.forced),
        allowed=everywhere.allowed.model_copy(update=_given(own.allowed)),
        maximum=everywhere.maximum.model_copy(
            update={**_given(own.maximum), "resources": resources}
        ),
    )
    return Rules(merged, own, place, gpu_resource)


def _given(section: Schema) -> dict[str, Any]:
    return {name: value for name, value in section if value is not None}
