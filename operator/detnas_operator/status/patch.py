"""Decides what is written of a status: if a change is worth a write, and what the server accepts.

Helm's `crds/` may leave a definition installed that is older than the operator. The API server
prunes fields that it does not have, and refuses the whole status for a value that it does not
allow: that value is left out from then on, so that the rest is shown.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from detnas_operator.cluster.objects import Status
from detnas_operator.status.figures import waiting_activity

_PROGRESS = frozenset({"secondsLeft", "gpuHours"})
_IDENTITY = ("job", "verb", "trial")
"""Fields of an active job whose changes, like those of what it waits for, are not mere progress."""
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_ROOT = "status"


def is_worth_a_patch(
    before: Status, after: Status, since_last_patch: float, progress_seconds: float
) -> bool:
    """Return whether a status should be written.

    Args:
        before: the status that the resource has.
        after: the one it should have.
        since_last_patch: seconds since the last write; infinite if there was none.
        progress_seconds: interval at which mere progress of running jobs is written.
    """
    if before == after:
        return False
    changed = _without_progress(before) != _without_progress(after)
    return changed or since_last_patch >= progress_seconds


def merge_patch(before: Status, after: Status) -> dict[str, Any]:
    """Return the JSON merge patch (RFC 7386) from one status to the other: None deletes a field."""
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            if inner := merge_patch(old, value):
                patch[key] = inner
        elif key not in before or old != value:
            patch[key] = value
    return patch


def _without_progress(status: Status) -> dict[str, Any]:
    lasting = {key: value for key, value in status.items() if key not in _PROGRESS}
    lasting["active"] = [
        {"waiting": waiting_activity(job), **{key: job.get(key) for key in _IDENTITY}}
        for job in status.get("active", ())
    ]
    return lasting


@dataclass(frozen=True, slots=True)
class RefusedValue:
    """A value that the installed definition does not allow.

    Attributes:
        path: names of the fields on the way to it, without indices of lists.
        value: as JSON.
    """

    path: tuple[str, ...]
    value: str


def refused_values(status: Status, fields: Iterable[str]) -> frozenset[RefusedValue]:
    """Return the values for which the API server refused a status.

    Args:
        status: that was refused.
        fields: as the server names them, such as ``status.conditions[5].type``; those that are
            not in the status are skipped.
    """
    return frozenset(refused for field in fields for refused in _named(status, field))


def _named(status: Status, field: str) -> Iterator[RefusedValue]:
    steps = [int(index) if index else name for name, index in _STEP.findall(field)]
    if steps[:1] != [_ROOT] or len(steps) == 1:
        return
    value: Any = status
    for step in steps[1:]:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return
    path = tuple(step for step in steps[1:] if isinstance(step, str))
    yield RefusedValue(path, json.dumps(value, sort_keys=True))


def without_refused(status: Status, refused: Iterable[RefusedValue]) -> dict[str, Any]:
    """Return a status without refused values: the field goes, and of a list the whole item."""
    left: Any = dict(status)
    for value in refused:
        left = _without(left, value.path, value.value)
    return dict(left)


def _without(value: Any, path: tuple[str, ...], refused: str) -> Any:
    if not isinstance(value, Mapping) or path[0] not in value:
        return value
    name, rest = path[0], path[1:]
    inner = value[name]
    if not rest:
        same = json.dumps(inner, sort_keys=True) == refused
        return {key: other for key, other in value.items() if key != name} if same else value
    if isinstance(inner, list):
        remaining = [item for item in inner if _without(item, rest, refused) == item]
        return {**value, name: remaining}
    return {**value, name: _without(inner, rest, refused)}
