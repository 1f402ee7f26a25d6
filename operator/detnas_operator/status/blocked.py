"""Why a search may not start any job; the text stays the same while nothing changes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from detnas.lifecycle.status import SearchStatus
from detnas.plan.stages import Phase
from detnas.reasons import Reason, ReasonCode
from detnas.resource.cut import cut
from detnas.resource.transitions import APPLIED_AGAIN
from detnas_operator.status.pass_result import PassResult

SUSPENDED = Reason.static(ReasonCode.SUSPENDED_BY_USER)
RETRY = "once the cause is fixed, set spec.suspend to true and then to false to try again"
_FIX_SPEC = f"a mistake in spec is corrected {APPLIED_AGAIN}"
_MAX_PROBLEM_BYTES = 800
"""Bytes: what to do must still fit into the message."""


def blocked_by(result: PassResult) -> Reason | None:
    """Return why no job may run: not accepted, failed, suspended or blocked; None if one may."""
    if result.not_accepted is not None:
        return result.not_accepted
    phase = result.search.phase if result.search else None
    if result.search is not None and phase is Phase.FAILED:
        return _failed(result.search)
    if phase is Phase.SUCCEEDED:
        return None
    return SUSPENDED if result.suspended else result.blocked


def _failed(search: SearchStatus) -> Reason:
    if search.ended_because and search.best is None:  # no trial succeeded: it states what to do
        return Reason(ReasonCode.FAILED, search.problem)
    advice = [] if "in a new search (" in search.problem else [_FIX_SPEC]
    return Reason(ReasonCode.FAILED, "; ".join([shortened(search.problem), *advice, RETRY]))


def shortened(problem: str) -> str:
    """Cut a problem so that advice still fits into the message."""
    return cut(problem, _MAX_PROBLEM_BYTES)


def suspended_since(status: Mapping[str, Any]) -> datetime | None:
    """When the search was suspended; None if the status does not report that."""
    condition = _suspended(status)
    return datetime.fromisoformat(condition["lastTransitionTime"]) if condition else None


def was_suspended_by_user(status: Mapping[str, Any]) -> bool:
    """Whether the user suspended the search: one that the operator blocked is not resumed."""
    condition = _suspended(status)
    return condition is not None and condition["reason"] == SUSPENDED.code


def _suspended(status: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for condition in status.get("conditions", ()):
        if (condition["type"], condition["status"]) == ("Suspended", "True"):
            return dict(condition)
    return None
