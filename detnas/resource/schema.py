"""Structural OpenAPI schemas from pydantic models, as a CustomResourceDefinition requires them.

References are inlined; nothing has a default (the description states it, since a stored default
could never change); every text, list and map is bounded. A pattern that has a message for people is
also a rule with that message.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from detnas.records.settings import RESOLUTION, Resolution
from detnas.resource.rule import Rule
from detnas.resource.rules import RULES
from detnas.schema import FRACTION
from detnas.spec.patterns import WORDS

Structural = dict[str, Any]
VALIDATIONS = "x-kubernetes-validations"
_BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_BOUNDS_IN_WORDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
_KEPT = (
    "type", "format", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength",
    "minItems", "maxItems", "maxProperties", "required", VALIDATIONS,
)  # fmt: skip


def structural_schema(model: type[BaseModel], rules: Iterable[Rule] = ()) -> Structural:
    """Return the schema of a model.

    Args:
        model: its aliases are the names of the properties.
        rules: further rules at its root.
    """
    raw = model.model_json_schema(by_alias=True, schema_generator=_Generator)
    schema = _Inliner(raw.get("$defs", {})).structural(raw)
    schema.setdefault(VALIDATIONS, []).extend(rule.to_json() for rule in rules)
    if not schema[VALIDATIONS]:
        del schema[VALIDATIONS]
    return schema


class _Generator(GenerateJsonSchema):
    """Pydantic's generator with our forms of text and the rules of each section."""

    def decimal_schema(self, _: core_schema.DecimalSchema) -> JsonSchemaValue:
        """A fraction is a string; its bounds are added by the field."""
        return {"type": "string", "pattern": FRACTION}

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """A section with its rules; a resolution is a string."""
        model = schema["cls"]
        if model is Resolution:
            return {"type": "string", "pattern": RESOLUTION, "maxLength": 11}
        rules = [rule.to_json() for rule in RULES.get(model, ())]
        return {**super().model_schema(schema), **({VALIDATIONS: rules} if rules else {})}


class _Inliner:
    """Turns pydantic's schema into a structural one."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions

    def structural(self, found: Mapping[str, Any]) -> Structural:
        """Return the schema without references, alternatives, titles and defaults."""
        flat = self._merged(found)
        schema = {key: flat[key] for key in _KEPT if key in flat}
        described = _described(flat)
        if described:
            schema["description"] = described
        if "const" in flat:
            schema["enum"] = [flat["const"]]
        for kind, fill in _FILLERS.items():
            if schema.get("type") == kind:
                fill(self, flat, schema)
        return schema

    def _merged(self, found: Mapping[str, Any]) -> Structural:
        """Follow the reference and the alternatives; keys beside them take precedence."""
        flat = dict(found)
        inner: Mapping[str, Any] = {}
        if "$ref" in flat:
            inner = self._definitions[flat.pop("$ref").rsplit("/", 1)[-1]]
        elif "anyOf" in flat:
            inner = _one_of([self._merged(one) for one in flat.pop("anyOf")])
        return {**self._merged(inner), **flat} if inner else flat

    def object(self, flat: Structural, schema: Structural) -> None:
        """Properties of a section, or values of a map."""
        # A map whose keys have a pattern, which rules check.
        values = [*flat.get("patternProperties", {}).values(), flat.get("additionalProperties")]
        if isinstance(values[0], Mapping):
            schema["additionalProperties"] = self.structural(values[0])
            return
        schema["properties"] = {
            name: self.structural(inner) for name, inner in flat.get("properties", {}).items()
        }

    def array(self, flat: Structural, schema: Structural) -> None:
        """Items of a list; a tuple of a fixed length has equal items here."""
        items = flat.get("items") or flat["prefixItems"][0]
        assert all(one == items for one in flat.get("prefixItems", ()))
        schema["items"] = self.structural(items)

    def string(self, flat: Structural, schema: Structural) -> None:
        """Texts are bounded, and have rules that state in words what they should be."""
        if flat.get("pattern") == FRACTION:
            schema["maxLength"] = flat["max_digits"] + 1
            schema[VALIDATIONS] = [_fraction_rule(flat).to_json()]
        elif flat.get("pattern") in WORDS:
            words = WORDS[flat["pattern"]]
            schema[VALIDATIONS] = [Rule(f"self.matches(r'{flat['pattern']}')", words).to_json()]

    def integer(self, _: Structural, schema: Structural) -> None:
        """Integers have 64 bits."""
        schema["format"] = "int64"


_FILLERS: dict[str, Callable[[_Inliner, Structural, Structural], None]] = {
    "object": _Inliner.object,
    "array": _Inliner.array,
    "string": _Inliner.string,
    "integer": _Inliner.integer,
}


def _one_of(alternatives: list[Structural]) -> Structural:
    """The alternative that is not null; several enumerations become one."""
    real = [one for one in alternatives if one.get("type") != "null"]
    if len(real) == 1:
        return real[0]
    words = [word for one in real for word in one.get("enum", [one.get("const")])]
    return {"type": "string", "enum": words}


def _described(flat: Structural) -> str:
    text = " ".join(str(flat.get("description", "")).split("\n\n", maxsplit=1)[0].split())
    default = flat.get("default")
    if default in (None, "", [], {}, ()) or isinstance(default, dict):
        return text
    shown = default if isinstance(default, str) else json.dumps(default)
    return f"{text} Default: {shown}."


def _fraction_rule(flat: Structural) -> Rule:
    bounds = {
        kind: flat[kind] for kind in _BOUNDS if kind in flat and (kind, flat[kind]) != ("ge", 0)
    }
    conditions = [f"self.matches(r'{FRACTION}')"]
    conditions += [f"double(self) {_BOUNDS[kind]} {float(bound)}" for kind, bound in bounds.items()]
    words = " and ".join(f"{_BOUNDS_IN_WORDS[kind]} {bound}" for kind, bound in bounds.items())
    return Rule(
        " && ".join(conditions),
        " ".join(f'write a plain decimal number {words} as a string, such as "0.4"'.split()),
    )
