"""Whether a status is worth a write: what changed at once, what only went on now and then."""

from collections.abc import Mapping
from typing import Any

from detnas_operator.status.active import waits

Status = Mapping[str, Any]

_GOES_ON = frozenset({"secondsLeft", "gpuHours"})
_IS_WHAT_IT_IS = ("job", "verb", "trial")
"""Of an active job, with what it waits for; all else goes on while it runs."""


def is_worth_a_patch(
    before: Status, after: Status, since_last_patch: float, progress_seconds: float
) -> bool:
    """Say whether the status should be written.

    Args:
        before: the status that the resource has.
        after: the one it should have.
        since_last_patch: seconds since the last write; infinite for none.
        progress_seconds: what is only progress of running jobs is written this often.
    """
    if before == after:
        return False
    return _lasting(before) != _lasting(after) or since_last_patch >= progress_seconds


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


def _lasting(status: Status) -> dict[str, Any]:
    lasting = {key: value for key, value in status.items() if key not in _GOES_ON}
    lasting["active"] = [
        {"waits": waits(job), **{key: job.get(key) for key in _IS_WHAT_IT_IS}}
        for job in status.get("active", ())
    ]
    return lasting
