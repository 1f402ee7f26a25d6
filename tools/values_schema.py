"""Writes into charts/detnas/values.schema.json what the models of the job policy require.

What the schema accepts must load in the operator, which would not start otherwise. So conditions
across fields and forms of keys, which a CustomResourceDefinition states in CEL, are written here
in JSON Schema; a rule or a map without its counterpart stops this program.
"""

import json
from pathlib import Path
from typing import Any

from detnas.resource.rule import Rule
from detnas.resource.rules import RULES
from detnas.resource.schema import VALIDATIONS, structural_schema
from detnas.spec.affinity import NodeRequirement, PodRequirement
from detnas.spec.jobs import JobFields, Toleration
from detnas.spec.patterns import (
    ENV_NAME,
    LABEL_KEY,
    RESERVED_ANNOTATIONS,
    RESERVED_LABELS,
    RESOURCE_NAME,
)
from detnas_operator.configuration.job_policy import JobPolicy

FILE = Path(__file__).resolve().parents[1] / "charts" / "detnas" / "values.schema.json"
_API_SERVER_ONLY = (VALIDATIONS, "format")

Json = dict[str, Any]


def definitions() -> Json:
    """The definitions that follow from the models, by name."""
    policy = _plain(structural_schema(JobPolicy))
    for name in ("defaults", "forced"):
        described = policy["properties"][name]["description"]
        shared = {"$ref": "#/definitions/jobFields"}
        policy["properties"][name] = {"description": described, "allOf": [shared]}
    return {"jobFields": _plain(structural_schema(JobFields)), "jobPolicy": policy}


def _plain(schema: Json, name: str = "") -> Json:
    """A structural schema as JSON Schema.

    Args:
        schema: as a CustomResourceDefinition has it.
        name: of the property that has this schema.
    """
    plain = {key: value for key, value in schema.items() if key not in _API_SERVER_ONLY}
    if conditions := [_CONDITIONS[rule["message"]] for rule in _across_fields(schema)]:
        plain["allOf"] = conditions
    if "properties" in plain:
        inner = {key: _plain(one, key) for key, one in plain["properties"].items()}
        plain |= {"properties": inner, "additionalProperties": False}
    elif "additionalProperties" in plain:
        values = _plain(plain["additionalProperties"])
        plain |= {"propertyNames": _KEYS[name], "additionalProperties": values}
    if "items" in plain:
        plain["items"] = _plain(plain["items"])
    return plain


def _across_fields(schema: Json) -> list[Json]:
    """Rules beyond the schema's own pattern and the forms of keys."""
    own = f"self.matches(r'{schema.get('pattern')}')"
    rules = schema.get(VALIDATIONS, ())
    return [rule for rule in rules if rule["rule"] != own and "a key " not in rule["message"]]


def _equal(field: str, value: str) -> Json:
    return {"properties": {field: {"const": value}}, "required": [field]}


def _operator_in(*operators: str) -> Json:
    return {"properties": {"operator": {"enum": list(operators)}}, "required": ["operator"]}


def _reserved(beginnings: tuple[str, ...]) -> Json:
    escaped = "|".join(one.replace(".", r"\.") for one in beginnings)
    return {**_LABEL, "not": {"pattern": f"^({escaped})"}}


def _by_message(rules: tuple[Rule, ...], conditions: tuple[Json, ...]) -> dict[str, Json]:
    return {rule.message: one for rule, one in zip(rules, conditions, strict=True)}


_LABEL: Json = {"pattern": LABEL_KEY, "maxLength": 317}
_KEYS: dict[str, Json] = {
    "nodeSelector": _LABEL,
    "podLabels": _reserved(RESERVED_LABELS),
    "podAnnotations": _reserved(RESERVED_ANNOTATIONS),
    "env": {"pattern": ENV_NAME, "maxLength": 64},
    "extended": {"pattern": RESOURCE_NAME, "maxLength": 317},
}
"""What the keys of a map must be, by the map's name."""


_TOLERATION = (
    {"if": {"not": _operator_in("Exists")}, "then": {"required": ["key"]}},
    {"if": _operator_in("Exists"), "then": {"properties": {"value": {"const": ""}}}},
    {"if": {"required": ["tolerationSeconds"]}, "then": _equal("effect", "NoExecute")},
)
_VALUES = (
    {
        "if": _operator_in("In", "NotIn"),
        "then": {"properties": {"values": {"minItems": 1}}, "required": ["values"]},
    },
    {
        "if": _operator_in("Exists", "DoesNotExist"),
        "then": {"properties": {"values": {"maxItems": 0}}},
    },
)
_ONE_INTEGER = {"minItems": 1, "maxItems": 1, "items": {"pattern": "^[0-9]+$"}}
_BOUNDS = {
    "if": _operator_in("Gt", "Lt"),
    "then": {"properties": {"values": _ONE_INTEGER}, "required": ["values"]},
}
_ABOVE_ZERO = {"pattern": "[1-9]"}

_CONDITIONS: dict[str, Json] = {
    **_by_message(RULES[Toleration], _TOLERATION),
    **_by_message(RULES[NodeRequirement], (*_VALUES, _BOUNDS)),
    **_by_message(RULES[PodRequirement], _VALUES),
    'write a plain decimal number above 0 as a string, such as "0.4"': _ABOVE_ZERO,
}
"""What JSON Schema says in place of a rule in CEL, by the rule's message."""


def written() -> str:
    """The file with these definitions in place of those that it has."""
    schema = json.loads(FILE.read_text(encoding="utf-8"))
    schema["definitions"] |= definitions()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(written(), encoding="utf-8")
