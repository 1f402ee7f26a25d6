"""The manifest's JSON schema, by which editors complete and check it."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from detnas.records.settings import RESOLUTION, Resolution
from detnas.schema import FRACTION
from detnas.spec.manifest import DetNASSearch

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_OURS = ("addedIn", "max_digits")


def manifest_schema() -> dict[str, Any]:
    """Return the JSON schema (2020-12) of a DetNASSearch.

    It states fields, types and defaults; rules between fields are checked by `detnas validate`.
    """
    schema = DetNASSearch.model_json_schema(by_alias=True, schema_generator=_Generator)
    cleaned = _without_ours(schema)
    assert isinstance(cleaned, dict)
    return {"$schema": _DIALECT, **cleaned}


class _Generator(GenerateJsonSchema):
    """Pydantic's generator with fractions and resolutions as the texts that they are."""

    def decimal_schema(self, _: core_schema.DecimalSchema) -> JsonSchemaValue:
        return {"type": "string", "pattern": FRACTION}

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        if schema["cls"] is Resolution:
            return {"type": "string", "pattern": RESOLUTION}
        return super().model_schema(schema)


def _without_ours(value: Any) -> Any:
    """A schema without what only our own generators read; a text has no numeric bounds."""
    if isinstance(value, list):
        return [_without_ours(one) for one in value]
    if not isinstance(value, dict):
        return value
    bounds = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    left_out = (*_OURS, *(bounds if value.get("type") == "string" else ()))
    return {key: _without_ours(inner) for key, inner in value.items() if key not in left_out}
