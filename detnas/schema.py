"""The base of every model that is written to a file: strict, frozen, camelCase in JSON."""

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Schema(BaseModel):
    """Unknown fields are refused; fields are snake_case in Python and camelCase in JSON."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


Positive = Annotated[int, Field(ge=1, strict=True)]
Count = Annotated[int, Field(ge=0, strict=True)]
Fraction = Annotated[Decimal, Field(ge=0, max_digits=12)]
"""A decimal number; a string in JSON, as the Kubernetes API conventions ask of fractions."""
