"""The format of records: what a version writes, and what it reads of newer and older ones.

A record states the oldest format in which it can be expressed; one without a statement has format
1.0. A field that equals its default is left out, so a new optional field changes no record that
does not use it, and a reader of an earlier format reads that record.

- A new field has a default and is declared with ``detnas.schema.added``: the next minor format.
- Readers of an older minor format ignore it. What must not be ignored needs a new major format,
  as does everything else: a changed default, a changed meaning, a field that is removed.
"""

import re
from functools import cache
from typing import Any, TypeVar, overload

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from detnas.schema import minor_format
from detnas.store.errors import CorruptRecord, NewerRecord

Record = TypeVar("Record", bound=BaseModel)

MAJOR, MINOR = 1, 1
"""The newest format that this version knows."""

_FORMAT = re.compile(r"([1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})")
_FIELD = b'"format"'
_MAX_ERRORS = 1000


def encode_record(record: BaseModel) -> bytes:
    """Return a record as JSON without defaults, and with its format unless that is 1.0.

    Equal records give equal bytes in every process.
    """
    content = from_json(record.model_dump_json(by_alias=True, exclude_defaults=True))
    if minor := minor_format(record):
        content["format"] = f"{MAJOR}.{minor}"
    # The standard library's encoder is interpreted if it indents, and takes several times as long.
    return to_json(_sorted(content), indent=1) + b"\n"


def _sorted(value: Any) -> Any:
    """Return JSON with the fields of each object in the order of their names."""
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


@overload
def decode_record(data: bytes, uri: str, kind: type[Record]) -> Record: ...


@overload
def decode_record(data: bytes, uri: str, kind: Any) -> Any: ...


def decode_record(data: bytes, uri: str, kind: Any) -> Any:
    """Return the record that ``data``, read from ``uri``, holds.

    Raises:
        NewerRecord: its major format is newer than this version knows.
        CorruptRecord: it is no such record.
    """
    name = getattr(kind, "__name__", "record")
    try:
        stated, rest = _apart(data)
    except ValueError as error:
        raise _corrupt(f"{uri} is no {name}: {error}") from error
    newer = stated is not None and _is_newer(stated, uri)
    try:
        return _adapter(kind).validate_json(rest, extra="ignore" if newer else None)
    except ValidationError as error:
        raise _corrupt(f"{uri} is no {name}: {_finding(error)}") from error


def _apart(data: bytes) -> tuple[Any, bytes]:
    """Return the format that a record states, or None, and its JSON without that."""
    content = from_json(data) if _FIELD in data else None
    if not isinstance(content, dict):
        return None, data
    return content.pop("format", None), to_json(content)


def _is_newer(stated: Any, uri: str) -> bool:
    """Whether a record may have fields that this version does not know."""
    match = _FORMAT.fullmatch(stated) if isinstance(stated, str) else None
    if match is None:
        raise _corrupt(f"{uri}: format: {stated!r:.60} is no format such as 1.0")
    major, minor = int(match[1]), int(match[2])
    if major > MAJOR:
        raise NewerRecord(
            f"{uri} has format {stated}; this version of detnas reads {MAJOR}.0 to {MAJOR}.{MINOR} "
            f"and newer minor formats of {MAJOR}",
            "use the version of detnas that wrote it, or a later one",
        )
    return minor > MINOR


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _corrupt(problem: str) -> CorruptRecord:
    return CorruptRecord(problem, "restore the object: records are never edited")


def _finding(error: ValidationError) -> str:
    """The first thing that is wrong; each of very many would take a kilobyte to list."""
    if error.error_count() > _MAX_ERRORS:
        return f"{error.error_count()} of its fields are wrong"
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "the record"
    return f"{field}: {first['msg']}"
