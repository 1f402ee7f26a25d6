"""Whether a status is worth a write: what changed at once, what only went on now and then."""

from collections.abc import Mapping
from typing import Any


def is_worth_a_patch(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    since_last_patch: float,
    progress_seconds: float,
) -> bool:
    """Say whether the status should be written.

    Args:
        before: the status that the resource has.
        after: the one it should have.
        since_last_patch: seconds since the last write; infinite for none.
        progress_seconds: what is only progress of running jobs is written this often.
    """
    raise NotImplementedError
