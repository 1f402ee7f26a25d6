"""What people look for in ``kubectl describe``: events, from what changed in the status."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a search.

    Attributes:
        type: Normal, or Warning where somebody should look.
        reason: in CamelCase.
        message: for people, one line.
    """

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def events(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Event, ...]:
    """Return what happened between two statuses, most important last; none without a change."""
    raise NotImplementedError


def event_body(
    event: Event, resource: Mapping[str, Any], now: datetime, name: str
) -> dict[str, Any]:
    """Return the core/v1 Event for the API server.

    Args:
        event: what happened.
        resource: the search's resource, as the API server gave it.
        now: when it happened.
        name: of the event's object, unique in the namespace.
    """
    raise NotImplementedError
