"""The forms of names and numbers in the configuration file."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from detnas.spec.patterns import NAMESPACE


def matching(pattern: str, right: str) -> AfterValidator:
    """Return a validator of text, whose error states the right form."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{value!r} is wrong; {right}")
        return value

    return AfterValidator(check)


_NAME = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
DOMAIN = r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?"
VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"

NAMESPACE_FORM = NAMESPACE.strip("^$")
NamespaceName = Annotated[
    str, Field(max_length=63), matching(NAMESPACE_FORM, "write a namespace's name, such as team-a")
]
AnyNamespace = Annotated[
    str,
    Field(max_length=63),
    matching(rf"\*|{NAMESPACE_FORM}", "write a namespace's name, such as team-a, or '*' for any"),
]
ObjectName = Annotated[str, matching(_NAME, "lower-case letters, digits, hyphens and dots")]
OptionalName = Annotated[
    str, matching(f"({_NAME})?", "lower-case letters, digits, hyphens and dots, or nothing")
]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]
TRAINER_ID = 65532
"""User and group ID of the trainer. Nodes have no such user; the project's images run as it."""

Identity = Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]
Groups = Annotated[tuple[Identity, ...], Field(max_length=32)]
Seconds = Annotated[int, Field(ge=1, le=86_400, strict=True)]
