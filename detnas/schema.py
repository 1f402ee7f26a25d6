"""The base of every model that is written to a file: strict, frozen, camelCase in JSON."""

import math
import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

FRACTION = r"^[0-9]{1,12}(\.[0-9]{1,12})?$"
"""How a decimal number is written: no sign, no exponent."""

_FRACTION = re.compile(FRACTION)
_DIGITS = 12
_LONGEST = _DIGITS + 1  # the point
_LARGEST = 2**53 - 1  # the largest integer that every reader of JSON knows exactly


class Schema(BaseModel):
    """Unknown fields are refused; fields are snake_case in Python and camelCase in JSON."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


def _from_text(value: Any) -> Any:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool | int | float):  # pydantic makes a finding of a ValueError only
        raise ValueError(  # noqa: TRY004
            f'{value!r} is a number; write it as a string: "{_plainly(value)}"'
        )
    if not isinstance(value, str) or not _FRACTION.fullmatch(value) or len(value) > _LONGEST:
        raise ValueError(
            f"{value!r:.60} is wrong; write a plain decimal number of at most {_DIGITS} digits as "
            'a string, such as "0.4"'
        )
    return value


def _plainly(value: float) -> str:
    known = not isinstance(value, bool) and math.isfinite(value)
    return format(Decimal(str(value)), "f") if known else "0.4"


Positive = Annotated[int, Field(ge=1, le=_LARGEST, strict=True)]
Count = Annotated[int, Field(ge=0, le=_LARGEST, strict=True)]
Flag = Annotated[bool, Field(strict=True)]
_AS_TEXT = PlainSerializer(lambda value: format(value, "f"), return_type=str, when_used="json")
Fraction = Annotated[
    Decimal, BeforeValidator(_from_text), _AS_TEXT, Field(ge=0, max_digits=_DIGITS)
]
"""A decimal number; a string in JSON, as the Kubernetes API conventions ask of fractions."""
