"""Which nodes may run pods, beside labels and taints: affinity and topology spread.

Names are those of a pod's spec, of which this is a part: terms select by `matchExpressions` only,
and pods are compared with pods of their own namespace.
"""

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from detnas.schema import Schema
from detnas.spec.patterns import LABEL_KEY, LABEL_VALUE

LabelKey = Annotated[str, Field(pattern=LABEL_KEY, max_length=317)]
LabelValue = Annotated[str, Field(pattern=LABEL_VALUE, max_length=63)]
Weight = Annotated[int, Field(ge=1, le=100, strict=True)]
_INTEGER = re.compile(r"[0-9]+")


class NodeRequirement(Schema):
    """A condition on a label of a node."""

    key: LabelKey = Field(description="Key of the label.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] = Field(
        description="How the label is compared with the values."
    )
    values: tuple[LabelValue, ...] = Field(
        (), max_length=16, description="For In and NotIn at least one, for Gt and Lt one integer."
    )

    @model_validator(mode="after")
    def _as_kubernetes_wants(self) -> "NodeRequirement":
        _check_values(self.operator, self.values)
        one = len(self.values) == 1 and _INTEGER.fullmatch(self.values[0])
        if self.operator in ("Gt", "Lt") and not one:
            raise ValueError('operators Gt and Lt take one integer as a string, such as ["4"]')
        return self


class NodeTerm(Schema):
    """Requirements, all of which a node must meet."""

    match_expressions: tuple[NodeRequirement, ...] = Field(
        min_length=1,
        max_length=8,
        description="Requirements, all of which must be met; matchFields is not supported.",
    )


class NodeSelectorTerms(Schema):
    """Terms, one of which a node must meet."""

    node_selector_terms: tuple[NodeTerm, ...] = Field(
        min_length=1, max_length=8, description="Terms, one of which must be met."
    )


class PreferredNodes(Schema):
    """Nodes that are preferred to others."""

    weight: Weight = Field(description="Weight of the preference, 1 to 100.")
    preference: NodeTerm = Field(description="Which nodes.")


class NodeAffinity(Schema):
    """Which nodes a pod may run on."""

    required_during_scheduling_ignored_during_execution: NodeSelectorTerms | None = Field(
        None, description="Nodes that may run the pod. Default: any."
    )
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredNodes, ...] = Field(
        (), max_length=8, description="Nodes that are preferred to others."
    )


class PodRequirement(Schema):
    """A condition on a label of a pod."""

    key: LabelKey = Field(description="Key of the label.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(
        description="How the label is compared with the values."
    )
    values: tuple[LabelValue, ...] = Field(
        (), max_length=16, description="For In and NotIn at least one; the others take none."
    )

    @model_validator(mode="after")
    def _as_kubernetes_wants(self) -> "PodRequirement":
        _check_values(self.operator, self.values)
        return self


class PodSelector(Schema):
    """Pods by their labels."""

    match_expressions: tuple[PodRequirement, ...] = Field(
        min_length=1,
        max_length=8,
        description="Requirements, all of which must be met; matchLabels is not supported.",
    )


class PodTerm(Schema):
    """Pods, and the topology in which they are near."""

    label_selector: PodSelector = Field(description="Pods of the same namespace.")
    topology_key: LabelKey = Field(
        description="Label of nodes; nodes with the same value are one domain."
    )


class PreferredPods(Schema):
    """Pods near which, or far from which, a pod preferably runs."""

    weight: Weight = Field(description="Weight of the preference, 1 to 100.")
    pod_affinity_term: PodTerm = Field(description="Which pods, and in which domain.")


class PodAffinity(Schema):
    """Pods near which, or far from which, a pod runs."""

    required_during_scheduling_ignored_during_execution: tuple[PodTerm, ...] = Field(
        (), max_length=4, description="Terms, all of which must be met."
    )
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredPods, ...] = Field(
        (), max_length=4, description="Terms that are preferably met."
    )


class ByNodes(Schema):
    """Which nodes a pod runs on; podAffinity and podAntiAffinity are only in spec.jobs.affinity."""

    node_affinity: NodeAffinity | None = Field(None, description="Nodes by their labels.")


class Affinity(ByNodes):
    """Which nodes a pod runs on, and near which pods."""

    pod_affinity: PodAffinity | None = Field(None, description="Pods to be near.")
    pod_anti_affinity: PodAffinity | None = Field(None, description="Pods to be far from.")


class TopologySpread(Schema):
    """How pods are spread over domains of nodes."""

    max_skew: Annotated[int, Field(ge=1, le=1000, strict=True)] = Field(
        description="By how many pods domains may differ."
    )
    topology_key: LabelKey = Field(
        description="Label of nodes; nodes with the same value are one domain."
    )
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = Field(
        description="Whether a pod that would exceed the difference waits."
    )
    label_selector: PodSelector | None = Field(
        None, description="Pods that are counted. Default: those of the search's same kind of job."
    )


def _check_values(operator: str, values: tuple[str, ...]) -> None:
    if operator in ("In", "NotIn") and not values:
        raise ValueError("operators In and NotIn take values; give at least one")
    if operator in ("Exists", "DoesNotExist") and values:
        raise ValueError("operators Exists and DoesNotExist take no values; leave values out")
