"""Reads a manifest from a YAML or JSON file."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from detnas.spec.explain import ManifestError, Problem, explain
from detnas.spec.manifest import DetNASSearch


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML in which a key may occur only once, as a Kubernetes API server reads it."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build the mapping; a repeated key is an error that names its line."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key is a word, not a list or mapping", key.start_mark
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} occurs twice; keep one", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_manifest(path: Path) -> DetNASSearch:
    """Read, check and complete a manifest.

    Raises:
        ManifestError: the file is missing, no YAML, or no DetNASSearch; every problem is named.
    """
    return read_manifest(load_document(path, "DetNASSearch"), str(path))


def load_document(path: Path, kind: str) -> Any:
    """Read a YAML or JSON file of one document, in which a key occurs only once.

    Args:
        path: of the file.
        kind: what it should hold, for messages.

    Raises:
        ManifestError: the file is missing, no YAML, or has another number of documents.
    """
    source = str(path)
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors of Windows begin it with a mark
    except OSError as error:
        problem = Problem("", f"the file cannot be read: {error}")
        raise ManifestError(source, [problem], kind) from error
    except UnicodeDecodeError as error:
        found = f"the file is not UTF-8 text (at byte {error.start}); save it as UTF-8"
        raise ManifestError(source, [Problem("", found)], kind) from error
    try:
        documents = list(yaml.load_all(text, Loader=_StrictLoader))
    except yaml.YAMLError as error:
        raise ManifestError(source, [Problem("", f"no valid YAML: {error}")], kind) from error
    if len(documents) != 1:
        found = f"{len(documents)} documents; a file holds one {kind}"
        raise ManifestError(source, [Problem("", found)], kind)
    return documents[0]


def read_manifest(document: Any, source: str) -> DetNASSearch:
    """Check and complete a parsed manifest.

    Raises:
        ManifestError: it is no DetNASSearch; every problem is named.
    """
    if not isinstance(document, dict):
        found = f"{type(document).__name__} found; a manifest is a mapping with apiVersion and kind"
        raise ManifestError(source, [Problem("", found)])
    try:
        return DetNASSearch.model_validate(_as_json(document))
    except ValidationError as error:
        raise ManifestError(source, explain(error, DetNASSearch)) from error


def _as_json(value: Any) -> Any:
    """A document as an API server reads it: a field without a value is left out, 3.0 is 3."""
    if isinstance(value, dict):
        return {key: _as_json(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_as_json(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
