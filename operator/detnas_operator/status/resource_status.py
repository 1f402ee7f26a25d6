"""The whole status of a search's resource, as JSON."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from detnas_operator.findings import Findings


def resource_status(findings: Findings, before: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return ``.status``, below 64 KB; where the store was not read, figures stay as they were.

    Args:
        findings: of this pass.
        before: the status that the resource has; empty for a new one.
        now: for conditions whose status changed.
    """
    raise NotImplementedError
