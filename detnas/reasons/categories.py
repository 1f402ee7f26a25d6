"""Kinds of reasons: how severe they are, and in which conditions they appear."""

from enum import Enum, StrEnum
from typing import Literal, Self, get_args

ConditionType = Literal[
    "Accepted", "TeachersReady", "Searching", "Suspended", "Degraded", "Succeeded"
]
"""All condition types. The custom resource definition accepts any, as it does for phases and
outcomes: one that is older than the operator would otherwise refuse the status."""

NEEDS_ATTENTION = 20
"""Lowest severity of a reason that makes a search Degraded."""

_ANY: frozenset[ConditionType] = frozenset(get_args(ConditionType))
_NONE: frozenset[ConditionType] = frozenset()


class Category(Enum):
    """Reasons with the same consequence: one table of docs/operator.md each.

    Attributes:
        severity: default of its reasons; the highest is reported first.
        conditions: default of its reasons: the conditions in which they may appear.
    """

    def __init__(self, severity: int, conditions: frozenset[ConditionType]) -> None:
        self.severity = severity
        self.conditions = conditions

    INTERNAL = 0, _NONE
    """A Job is about to start or to stop; not reported in any condition."""
    EVENT = 1, _NONE
    """Reported in events only."""
    HEALTHY = 2, _ANY
    """All is well, or in progress."""
    SELF_RESOLVING = 10, _ANY - {"Accepted", "Degraded"}
    """A wait that ends without intervention."""
    JOB = 60, _ANY
    """A Job does not start, or makes no progress."""
    STOPPED = 80, _ANY
    """The search is stopped, or cannot continue."""
    INPUTS = 81, _ANY
    """What the user supplied does not exist or does not fit."""
    NOT_ACCEPTED = 90, _ANY
    """The search may not run."""


class Documented(StrEnum):
    """A reason with what follows from it; the members are those of `ReasonCode`.

    Attributes:
        category: its table in docs/operator.md.
        severity: where several reasons apply, the condition has the one with the highest.
        conditions: in which it may appear.
        template: of its message, if no decision shapes it; fields as in ``str.format``.
    """

    category: Category
    severity: int
    conditions: frozenset[ConditionType]
    template: str

    def __new__(
        cls,
        name: str,
        category: Category = Category.INTERNAL,
        severity: int = 0,
        condition: ConditionType | None = None,
        template: str = "",
    ) -> Self:
        """Create a member; for severity 0 and condition None those of the category are used."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.category = category
        member.severity = severity or category.severity
        member.conditions = frozenset((condition,)) if condition else category.conditions
        member.template = template
        return member

    @property
    def needs_attention(self) -> bool:
        """Whether it makes a search Degraded."""
        return self.severity >= NEEDS_ATTENTION
