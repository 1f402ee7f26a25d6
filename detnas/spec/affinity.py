"""Where pods may run beside labels and taints: affinity and topology spread, as in a pod's spec.

Names are Kubernetes' own. A pod is compared with pods of its own namespace only.
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
    """What a label of a node must be."""

    key: LabelKey = Field(description="Key of the label.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] = Field(
        description="How the label is compared with the values."
    )
    values: tuple[LabelValue, ...] = Field(
        (), max_length=16, description="Of In and NotIn any number, of Gt and Lt one integer."
    )

    @model_validator(mode="after")
    def _as_kubernetes_wants(self) -> "NodeRequirement":
        _check_values(self.operator, self.values)
        one = len(self.values) == 1 and _INTEGER.fullmatch(self.values[0])
        if self.operator in ("Gt", "Lt") and not one:
            raise ValueError('operators Gt and Lt take one integer as a string, such as ["4"]')
        return self


class NodeTerm(Schema):
    """Requirements that a node must meet, all of them."""

    match_expressions: tuple[NodeRequirement, ...] = Field(
        min_length=1, max_length=8, description="Requirements, all of which must be met."
    )


class NodeSelectorTerms(Schema):
    """Terms of which a node must meet one."""

    node_selector_terms: tuple[NodeTerm, ...] = Field(
        min_length=1, max_length=8, description="Terms, one of which must be met."
    )


class PreferredNodes(Schema):
    """Nodes that are better than others."""

    weight: Weight = Field(description="How much better, 1 to 100.")
    preference: NodeTerm = Field(description="Which nodes.")


class NodeAffinity(Schema):
    """Which nodes a pod may run on."""

    required_during_scheduling_ignored_during_execution: NodeSelectorTerms | None = Field(
        None, description="Nodes that may run the pod; left out, any."
    )
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredNodes, ...] = Field(
        (), max_length=8, description="Nodes that are better than others."
    )


class PodRequirement(Schema):
    """What a label of a pod must be."""

    key: LabelKey = Field(description="Key of the label.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(
        description="How the label is compared with the values."
    )
    values: tuple[LabelValue, ...] = Field(
        (), max_length=16, description="Of In and NotIn; the others take none."
    )

    @model_validator(mode="after")
    def _as_kubernetes_wants(self) -> "PodRequirement":
        _check_values(self.operator, self.values)
        return self


class PodSelector(Schema):
    """Pods by their labels."""

    match_expressions: tuple[PodRequirement, ...] = Field(
        min_length=1, max_length=8, description="Requirements, all of which must be met."
    )


class PodTerm(Schema):
    """Pods, and what counts as the same place."""

    label_selector: PodSelector = Field(description="Pods of the same namespace.")
    topology_key: LabelKey = Field(
        description="Label of nodes; nodes of the same value are one place."
    )


class PreferredPods(Schema):
    """Pods near which, or far from which, it is better to run."""

    weight: Weight = Field(description="How much better, 1 to 100.")
    pod_affinity_term: PodTerm = Field(description="Which pods, and what is near.")


class PodAffinity(Schema):
    """Pods near which, or far from which, a pod runs."""

    required_during_scheduling_ignored_during_execution: tuple[PodTerm, ...] = Field(
        (), max_length=4, description="Terms, all of which must be met."
    )
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredPods, ...] = Field(
        (), max_length=4, description="Terms that are better met."
    )


class ByNodes(Schema):
    """Which nodes a pod runs on, as in a pod's spec."""

    node_affinity: NodeAffinity | None = Field(None, description="Nodes by their labels.")


class Affinity(ByNodes):
    """Which nodes a pod runs on, and near which pods, as in a pod's spec."""

    pod_affinity: PodAffinity | None = Field(None, description="Pods to be near.")
    pod_anti_affinity: PodAffinity | None = Field(None, description="Pods to be far from.")


class TopologySpread(Schema):
    """How pods are spread over places, as in a pod's spec."""

    max_skew: Annotated[int, Field(ge=1, le=1000, strict=True)] = Field(
        description="By how many pods places may differ."
    )
    topology_key: LabelKey = Field(
        description="Label of nodes; nodes of the same value are one place."
    )
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = Field(
        description="Whether a pod waits that would exceed the difference."
    )
    label_selector: PodSelector | None = Field(
        None, description="Pods that are counted; left out, those of the search's same activity."
    )


def _check_values(operator: str, values: tuple[str, ...]) -> None:
    if operator in ("In", "NotIn") and not values:
        raise ValueError("operators In and NotIn take values; give at least one")
    if operator in ("Exists", "DoesNotExist") and values:
        raise ValueError("operators Exists and DoesNotExist take no values; leave values out")
