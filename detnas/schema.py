"""The base of every model that is written to a file: strict, frozen, camelCase in JSON."""

import math
import re
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    model_serializer,
)
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

FRACTION = r"^[0-9]{1,12}(\.[0-9]{1,12})?$"
"""How a decimal number is written: no sign, no exponent."""

_FRACTION = re.compile(FRACTION)
_DIGITS = 12
_MAX_FRACTION_CHARACTERS = _DIGITS + 1  # the point
_MAX_INTEGER = 2**53 - 1  # the largest integer that every reader of JSON knows exactly
_ADDED_IN = "addedIn"


class Schema(BaseModel):
    """Unknown fields are refused; fields are snake_case in Python and camelCase in JSON."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class Tagged(Schema):
    """One of several models that their field ``kind`` tells apart.

    Attributes:
        ALWAYS: fields of one word each that are written also where they equal their defaults.
    """

    ALWAYS: ClassVar[tuple[str, ...]] = ("kind",)

    @model_serializer(mode="wrap")
    def _with_kind(
        self, dump: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> dict[str, Any]:
        always = self.ALWAYS if info.exclude_defaults else ()
        return {**{name: getattr(self, name) for name in always}, **dump(self)}


def added(minor: int, default: Any = None, **details: Any) -> Any:
    """Return a field of a record that is newer than format 1.0 of records.

    Where it equals its default it is left out, also of digests of settings: a record that does
    not use it stays what it was.

    Args:
        minor: the field came with format ``1.<minor>``.
        default: what readers of earlier formats do; it never changes.
        details: as ``pydantic.Field`` takes them.
    """
    return Field(
        default,
        exclude_if=lambda value: value == default,
        json_schema_extra={_ADDED_IN: minor},
        **details,
    )


def minor_format(value: Any) -> int:
    """Return the oldest minor format that has every field that a record uses, in all its parts."""
    if value is None or isinstance(value, str | int | float):
        return 0
    if isinstance(value, BaseModel):
        newest = 0
        for name, added_in_minor, default in _fields(type(value)):
            part = getattr(value, name)
            if part != default:
                newest = max(newest, added_in_minor, minor_format(part))
        return newest
    if isinstance(value, dict):
        return max(map(minor_format, value.values()), default=0)
    if isinstance(value, list | tuple):
        return max(map(minor_format, value), default=0)
    return 0


@cache
def _fields(model: type[BaseModel]) -> tuple[tuple[str, int, Any], ...]:
    """Return of each field its name, the minor format that it came with, and its default."""
    fields = model.model_fields.items()
    return tuple((name, added_in(field), field.default) for name, field in fields)


def added_in(field: FieldInfo) -> int:
    """Return the minor format that a model's field came with."""
    extra = field.json_schema_extra
    minor = extra.get(_ADDED_IN, 0) if isinstance(extra, dict) else 0
    assert isinstance(minor, int)
    return minor


def _from_text(value: Any) -> Any:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool | int | float):  # pydantic reports ValueErrors only
        raise ValueError(  # noqa: TRY004
            f'{value!r} is a number; write it as a string: "{_plainly(value)}"'
        )
    if (
        not isinstance(value, str)
        or not _FRACTION.fullmatch(value)
        or len(value) > _MAX_FRACTION_CHARACTERS
    ):
        raise ValueError(
            f"{value!r:.60} is wrong; write a plain decimal number of at most {_DIGITS} digits as "
            'a string, such as "0.4"'
        )
    return value


def _plainly(value: float) -> str:
    known = not isinstance(value, bool) and math.isfinite(value)
    return format(Decimal(str(value)), "f") if known else "0.4"


Positive = Annotated[int, Field(ge=1, le=_MAX_INTEGER, strict=True)]
Count = Annotated[int, Field(ge=0, le=_MAX_INTEGER, strict=True)]
Flag = Annotated[bool, Field(strict=True)]
_AS_TEXT = PlainSerializer(lambda value: format(value, "f"), return_type=str, when_used="json")
Fraction = Annotated[
    # pydantic's own max_digits, which the text's form implies, would take most of a ledger's time.
    Decimal,
    BeforeValidator(_from_text),
    _AS_TEXT,
    Field(ge=0, json_schema_extra={"max_digits": _DIGITS}),
]
"""A decimal number; a string in JSON, as the Kubernetes API conventions require of fractions."""
