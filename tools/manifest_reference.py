"""Writes docs/manifest.md: every field of the manifest, its default and what it means."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from detnas.spec.manifest import SearchSpec

_HEAD = """# The manifest, field by field

Written by `python -m tools.manifest_reference` from the models that read it. Paths are below
`spec`; a field without a default is required. `metadata` takes `name` (a DNS label of at most 48
characters), `namespace`, `labels` and `annotations`. `detnas validate search.yaml -o yaml` prints a
manifest with every default filled in.

`search.trials`, `search.parallelism`, `search.patience`, `retention` and `storage` may be changed
while a search runs or after it ended, and the same search goes on; any other change begins another.

| field | default | meaning |
| --- | --- | --- |
"""


def reference() -> str:
    """The page's text."""
    return _HEAD + "\n".join(_rows(SearchSpec, "", None)) + "\n"


def _rows(model: type[BaseModel], prefix: str, given: BaseModel | None) -> Iterator[str]:
    """A row a field; ``given`` is the section that stands where the whole section is left out."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        inner = _section(field)
        described = field.description or (inner.__doc__ or "").strip().splitlines()[0]
        meaning = described.replace("|", "\\|")
        value = getattr(given, name) if given else field.default
        yield f"| `{path}` | {'' if inner else _default(field, value)} | {meaning} |"
        if inner:
            marker = "[]" if "tuple" in str(field.annotation) else ""
            section = value if isinstance(value, BaseModel) else None
            yield from _rows(inner, f"{path}{marker}.", section)


def _section(field: FieldInfo) -> type[BaseModel] | None:
    """The model that a field holds, unless it is written as plain text."""
    for candidate in (field.annotation, *_flattened(field.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate if candidate.__name__ != "Resolution" else None
    return None


def _flattened(annotation: Any) -> Iterator[Any]:
    for inner in get_args(annotation):
        yield inner
        yield from _flattened(inner)


def _default(field: FieldInfo, value: Any) -> str:
    if field.is_required():
        return "required"
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`" if str(value) else "empty"


if __name__ == "__main__":
    page = Path(__file__).resolve().parents[1] / "docs" / "manifest.md"
    page.write_text(reference(), encoding="utf-8")
