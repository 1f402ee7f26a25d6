"""A status for a definition older than the operator, which Helm's `crds/` may leave installed.

The API server prunes fields that the definition does not have. A value that it does not allow
makes it refuse the whole status: that value is left out from then on, so that the rest is shown.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_ROOT = "status"


@dataclass(frozen=True, slots=True)
class Unfit:
    """A value that the definition does not allow.

    Attributes:
        path: names of the fields on the way to it, without the places in lists.
        value: as JSON.
    """

    path: tuple[str, ...]
    value: str


def unfit(status: Mapping[str, Any], fields: Iterable[str]) -> frozenset[Unfit]:
    """Return the values of a status that the API server refuses.

    Args:
        status: that was refused.
        fields: as the server names them, such as ``status.conditions[5].type``; those that are
            not in the status are passed over.
    """
    return frozenset(found for field in fields for found in _named(status, field))


def _named(status: Mapping[str, Any], field: str) -> Iterator[Unfit]:
    steps = [int(place) if place else name for name, place in _STEP.findall(field)]
    if steps[:1] != [_ROOT] or len(steps) == 1:
        return
    value: Any = status
    for step in steps[1:]:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return
    path = tuple(step for step in steps[1:] if isinstance(step, str))
    yield Unfit(path, json.dumps(value, sort_keys=True))


def fitting(status: Mapping[str, Any], rules: Iterable[Unfit]) -> dict[str, Any]:
    """Return a status without what the definition does not allow.

    Of a list the whole item goes that has such a value; elsewhere the field.
    """
    left: Any = dict(status)
    for rule in rules:
        left = _without(left, rule.path, rule.value)
    return dict(left)


def _without(value: Any, path: tuple[str, ...], unwanted: str) -> Any:
    """Return a value less what is unwanted at a path below it."""
    if not isinstance(value, Mapping) or path[0] not in value:
        return value
    name, rest = path[0], path[1:]
    inner = value[name]
    if not rest:
        same = json.dumps(inner, sort_keys=True) == unwanted
        return {key: one for key, one in value.items() if key != name} if same else value
    if isinstance(inner, list):
        kept = [one for one in inner if _without(one, rest, unwanted) == one]
        return {**value, name: kept}
    return {**value, name: _without(inner, rest, unwanted)}
