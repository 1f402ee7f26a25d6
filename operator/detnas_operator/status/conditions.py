"""The conditions of a search: what is so, what is not, and why."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from detnas_operator.findings import Findings


def conditions(
    findings: Findings, before: Sequence[dict[str, Any]], now: datetime
) -> list[dict[str, Any]]:
    """Return all conditions, in a fixed order, in the shape of metav1.Condition.

    Args:
        findings: of this pass.
        before: the conditions that the resource has; what can not be known in this pass stays.
        now: for those whose status changed.
    """
    raise NotImplementedError
