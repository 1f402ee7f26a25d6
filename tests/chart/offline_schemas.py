"""JSON schemas for kubeconform, from the OpenAPI documents that an API server publishes.

kubeconform wants one file for each kind, and refuses unknown fields only where the schema does.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.cluster.api import Api, Document

LOCATION = "{{ .Group }}_{{ .ResourceAPIVersion }}_{{ .ResourceKind }}.json"
"""The name of a kind's file, as kubeconform's template; for the core group `.Group` is v1."""

REFERENCE = "#/components/schemas/"


def write_schemas(api: Api, documents: Iterable[Document], folder: Path) -> str:
    """Write what the server knows of the kinds of these documents; kubeconform's location of it."""
    for version in {document["apiVersion"] for document in documents}:
        path = f"apis/{version}" if "/" in version else f"api/{version}"
        schemas = api.request("GET", f"openapi/v3/{path}")["components"]["schemas"]
        strict = {name: converted(schema) for name, schema in schemas.items()}
        for name, kind in kinds(schemas, version):
            group, _, number = version.rpartition("/")
            file = folder / f"{group or number}_{number}_{kind.lower()}.json"
            file.write_text(json.dumps({"$ref": f"#/definitions/{name}", "definitions": strict}))
    return str(folder / LOCATION)


def kinds(schemas: Document, version: str) -> Iterator[tuple[str, str]]:
    """Names of schemas, and the kinds of this version that they describe."""
    for name, schema in schemas.items():
        for meant in schema.get("x-kubernetes-group-version-kind", ()):
            if version == f"{meant['group']}/{meant['version']}".removeprefix("/"):
                yield name, meant["kind"]


def converted(schema: Any) -> Any:
    """A schema of OpenAPI 3.0 as a JSON schema that refuses fields it does not name."""
    if isinstance(schema, list):
        return [converted(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {word: converted(value) for word, value in schema.items() if word != "properties"}
    if "$ref" in schema:
        found["$ref"] = schema["$ref"].replace(REFERENCE, "#/definitions/")
    if schema.get("nullable"):
        found["type"] = [schema["type"], "null"]
    if "properties" in schema:
        fields = schema["properties"].items()
        found["properties"] = {name: converted(field) for name, field in fields}
        if is_closed(schema):
            found["additionalProperties"] = False
    return found


def is_closed(schema: Document) -> bool:
    """Whether an object has the fields that it names and no others."""
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") is True
    return not open_ended and "additionalProperties" not in schema
