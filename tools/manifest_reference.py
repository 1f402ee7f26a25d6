"""Writes docs/manifest.md: every field of the manifest, its default and what it means."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from detnas.resource.transitions import MUTABLE
from detnas.spec.jobs import KindFields
from detnas.spec.manifest import SearchSpec

_HEAD = """# The manifest, field by field

Written by `python -m tools.manifest_reference` from the models that read it. Paths are below
`spec`; a field without a default is required. `metadata` takes `name` (a DNS label of at most 48
characters), `namespace`, `labels` and `annotations`. `detnas validate search.yaml -o yaml` prints a
manifest with every default filled in.

Fractions are strings, such as `"0.4"`: the Kubernetes API has no floating-point numbers.
`spec.deadlines`, `queueSeconds` and `terminationGracePeriodSeconds` are integers in seconds.

`detnas validate` and a cluster's API server check fields by the same rules. Only the operator
refuses (condition `Accepted`) a search that

- names only a folder of one machine as `dataset.source`, or base weights at an address other than
  `s3://` or a path in the data set,
- encodes a ResNeXt whose blocks do not consist of whole groups,
- has a `priorityClassName` that begins with `system-`,
- reserves GPUs that training does not use, or names a GPU in `resources.extended`,
- stores data, or names a pool or a search, outside what the administrator allows,
- breaks another rule of the administrator's [policy](operator.md#policy).

`detnas validate` refuses or warns of those that the manifest alone shows.

The last column states of a field that it

- **may change** while a search runs or after it ended, and the same search continues. On one
  machine `storage.uri` may change too, and any other change starts another search; a cluster
  refuses it, and a new search can inherit the old one's trials with `warmStart.from`.
- is read on a **cluster** only; `detnas run` ignores it.

| field | default | meaning | |
| --- | --- | --- | --- |
"""
_KINDS_HEAD = """
## Fields of one kind of job

`jobs.prepare`, `jobs.base`, `jobs.pool`, `jobs.trial`, `jobs.finetune` and `jobs.export` have these
fields, in place of `KIND`. A field that is left out is as in `jobs`; one that is given replaces it
entirely, also an empty list or map; of `resources`, `affinity` and `env` entries are replaced one
by one. The fields inside these are those of `jobs`. All may change, and are read on a cluster only.

| field | meaning |
| --- | --- |
"""

_CLUSTER_ONLY = {
    "base.gpus",
    "dataset.source.persistentVolumeClaim",
    "dataset.source.s3",
    "deadlines",
    "evaluation.gpus",
    "finetune.gpus",
    "jobs",
    "limits",
    "storage.onDelete",
    "suspend",
    "teachers.gpusPerWorker",
    "teachers.workers",
}


def reference() -> str:
    """The page's text."""
    rows = list(_rows(SearchSpec, "", None))
    lines = [
        f"| `{path}` | {default} | {meaning} | {_marks(path)} |" for path, default, meaning in rows
    ]
    unknown = _CLUSTER_ONLY - {path for path, _, _ in rows}
    assert not unknown, f"no fields of the manifest: {unknown}"
    of_one_kind = [
        f"| `{path}` | {text} |"
        for path, _, text in _rows(KindFields, "KIND.", None)
        if path.count(".") == 1
    ]
    return _HEAD + "\n".join(lines) + "\n" + _KINDS_HEAD + "\n".join(of_one_kind) + "\n"


def _marks(path: str) -> str:
    """Whether a field, or a section around it, may change or is read on a cluster only."""
    parts = path.replace("[]", "").split(".")
    around = {".".join(parts[: end + 1]) for end in range(len(parts))}
    marks = ["may change"] if around & _mutable() else []
    return ", ".join([*marks, *(["cluster"] if around & _CLUSTER_ONLY else [])])


def _mutable() -> set[str]:
    inner = {f"{name}.{one}" for name, ones in MUTABLE.items() for one in ones or ()}
    return inner | {name for name, ones in MUTABLE.items() if ones is None}


def _rows(
    model: type[BaseModel], prefix: str, given: BaseModel | None
) -> Iterator[tuple[str, str, str]]:
    """Path, default and meaning of each field.

    Args:
        model: of a section.
        prefix: of its paths.
        given: the section that is used if the manifest leaves it out.
    """
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        inner = _section(field)
        described = field.description or (inner.__doc__ or "").strip().splitlines()[0]
        meaning = " ".join([described.replace("|", "\\|"), *_choices(field)])
        value = getattr(given, name) if given else field.default
        yield path, "" if inner else _default(field, value), meaning
        if inner and inner is not KindFields:
            marker = "[]" if "tuple" in str(field.annotation) else ""
            section = value if isinstance(value, BaseModel) else None
            yield from _rows(inner, f"{path}{marker}.", section)


def _section(field: FieldInfo) -> type[BaseModel] | None:
    """The model that a field holds, unless it is written as plain text."""
    for candidate in (field.annotation, *_flattened(field.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate if candidate.__name__ != "Resolution" else None
    return None


def _choices(field: FieldInfo) -> Iterator[str]:
    """A sentence with the words that a closed choice allows."""
    for one in (field.annotation, *_flattened(field.annotation)):
        words: tuple[str, ...] = ()
        if get_origin(one) is Literal:
            words = get_args(one)
        elif isinstance(one, type) and issubclass(one, StrEnum):
            words = tuple(one)
        if words:
            listed = ", ".join(f"`{word}`" for word in words)
            yield f"One of {listed}." if len(words) > 1 else f"Only {listed}."
            return


def _flattened(annotation: Any) -> Iterator[Any]:
    for inner in get_args(annotation):
        yield inner
        yield from _flattened(inner)


def _default(field: FieldInfo, value: Any) -> str:
    if field.is_required():
        return "required"
    if value is None:
        return "none"
    if isinstance(value, tuple) and value:
        return f"`[{', '.join(map(str, value))}]`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if value not in ("", (), {}) else "empty"


if __name__ == "__main__":
    page = Path(__file__).resolve().parents[1] / "docs" / "manifest.md"
    page.write_text(reference(), encoding="utf-8")
