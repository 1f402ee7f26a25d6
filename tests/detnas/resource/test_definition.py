"""The definition's schema: bounded everywhere, structural, and free of defaults."""

from collections.abc import Iterator
from typing import Any

from detnas.resource import custom_resource_definition

SCHEMA = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
ANNOTATED_LIMIT = 256 * 1024
"""Bytes that `kubectl apply` can keep of an object in its annotation."""


def parts(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema within, below `spec` and `status`, by its path."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from parts(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from parts(schema[key], f"{path}[]")


PARTS = dict(
    part for root in ("spec", "status") for part in parts(SCHEMA["properties"][root], root)
)
BOUNDS = {
    "string": ({"maxLength"}, {"enum"}, {"format"}),
    "array": ({"maxItems"},),
    "integer": ({"minimum", "maximum"},),
    "object": ({"properties"}, {"maxProperties"}),
    "boolean": (set[str](),),
}


def test_definition_bounds_every_value() -> None:
    unbounded = {
        path: part
        for path, part in PARTS.items()
        if not any(bounds <= set(part) for bounds in BOUNDS[part["type"]])
    }
    assert unbounded == {}


def test_definition_describes_every_value() -> None:
    silent = [path for path, part in PARTS.items() if not part.get("description")]
    assert [path for path in silent if not path.endswith("[]")] == []


def test_definition_is_structural_without_defaults() -> None:
    unwanted = {"$ref", "anyOf", "allOf", "oneOf", "const", "default", "title", "nullable"}
    unwanted |= {"x-kubernetes-preserve-unknown-fields"}
    found = {path: unwanted & set(part) for path, part in PARTS.items()}
    assert {path: names for path, names in found.items() if names} == {}


def test_definition_states_defaults_in_descriptions() -> None:
    assert PARTS["spec.search.topK"]["description"].endswith("Default: 5.")
    assert PARTS["spec.search.alpha"]["description"].endswith("Default: 0.4.")
    assert PARTS["spec.teachers.depths.min"]["description"].endswith("Default: [2, 2, 2, 2].")


def test_definition_can_be_applied_by_kubectl() -> None:
    assert len(str(custom_resource_definition())) < ANNOTATED_LIMIT
