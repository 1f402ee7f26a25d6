"""The CustomResourceDefinition of DetNASSearch, generated from the models that read it."""

from typing import Any

from detnas.resource.rule import Rule
from detnas.resource.schema import Structural, structural_schema
from detnas.resource.status import ResourceStatus
from detnas.resource.transitions import transition_rules
from detnas.spec.manifest import API_VERSION, KIND, DetNASSearch, SearchSpec
from detnas.spec.patterns import LABEL, WORDS

GROUP, VERSION = API_VERSION.split("/")
PLURAL = "detnassearches"
NAME_LENGTH = 48
"""Jobs are named after the search, and a label holds no more than 63 characters."""

_ROOT_RULES = (
    Rule(
        f"self.metadata.name.size() <= {NAME_LENGTH} && self.metadata.name.matches(r'{LABEL}')",
        f"metadata.name may have at most {NAME_LENGTH} characters: {WORDS[LABEL]}",
    ),
    Rule(
        "self.spec.?warmStart.?from.orValue('') != self.metadata.name",
        "spec.warmStart.from names this search itself; name another",
        ".spec.warmStart.from",
    ),
)

_COLUMNS = (
    ("Phase", ".status.phase", "Phase of the search."),
    ("Teachers", ".status.teachers.progress", "Finished phases of the pool's training."),
    ("Trials", ".status.trials.progress", "Finished trials and their total."),
    ("Best H", ".status.best.h", "Score of the best student."),
    ("Base H", ".status.base.h", "Score of the base detector."),
    ("Best mAP", ".status.best.map", "Accuracy of the best student."),
    ("FLOPs", ".status.flopsChange", "FLOPs of the best student relative to the base's."),
)
_WIDE_COLUMNS = (
    ("Latency", ".status.latencyChange", "The same of the latency, if H counts that."),
    ("GPU Hours", ".status.gpuHours", "GPU hours used so far."),
    ("Accepted", '.status.conditions[?(@.type=="Accepted")].reason', "Whether it may run."),
    ("Degraded", '.status.conditions[?(@.type=="Degraded")].message', "What is wrong."),
)


def custom_resource_definition() -> Structural:
    """Return the definition, ready to be written as YAML or JSON."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["detnas"],
                "categories": ["all"],
            },
            "versions": [_version()],
        },
    }


def _version() -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": _columns(),
        "schema": {"openAPIV3Schema": _schema()},
    }


def _schema() -> Structural:
    return {
        "type": "object",
        "description": (DetNASSearch.__doc__ or "").strip(),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural_schema(SearchSpec, transition_rules()),
            "status": _status(),
        },
        "x-kubernetes-validations": [rule.to_json() for rule in _ROOT_RULES],
    }


def _status() -> Structural:
    schema = structural_schema(ResourceStatus)
    conditions = schema["properties"]["conditions"]
    conditions["x-kubernetes-list-type"] = "map"
    conditions["x-kubernetes-list-map-keys"] = ["type"]
    return schema


def _columns() -> list[dict[str, Any]]:
    columns = [_column(*column) for column in _COLUMNS]
    wide = [{**_column(*column), "priority": 1} for column in _WIDE_COLUMNS]
    age = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
    return [*columns, age, *wide]


def _column(name: str, path: str, description: str) -> dict[str, Any]:
    return {"name": name, "type": "string", "jsonPath": path, "description": description}
