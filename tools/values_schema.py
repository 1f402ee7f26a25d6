"""Writes into charts/detnas/values.schema.json what the models of the job policy say of it."""

import json
from pathlib import Path
from typing import Any

from detnas.resource.schema import structural_schema
from detnas.spec.job_fields import JobFields
from detnas_operator.configuration.job_policy import JobPolicy

FILE = Path(__file__).resolve().parents[1] / "charts" / "detnas" / "values.schema.json"
_CLUSTERS_OWN = ("x-kubernetes-validations", "format")


def definitions() -> dict[str, Any]:
    """The definitions that follow from the models, by name."""
    policy = _plain(structural_schema(JobPolicy))
    for name in ("defaults", "forced"):
        described = policy["properties"][name]["description"]
        shared = {"$ref": "#/definitions/jobFields"}
        policy["properties"][name] = {"description": described, "allOf": [shared]}
    return {"jobFields": _plain(structural_schema(JobFields)), "jobPolicy": policy}


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A structural schema as JSON Schema; what only an API server reads goes."""
    plain = {name: value for name, value in schema.items() if name not in _CLUSTERS_OWN}
    if "properties" in plain:
        inner = {name: _plain(one) for name, one in plain["properties"].items()}
        plain |= {"properties": inner, "additionalProperties": False}
    for name in ("items", "additionalProperties"):
        if isinstance(plain.get(name), dict):
            plain[name] = _plain(plain[name])
    return plain


def written() -> str:
    """The file with these definitions in place of those that it has."""
    schema = json.loads(FILE.read_text(encoding="utf-8"))
    schema["definitions"] |= definitions()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(written(), encoding="utf-8")
