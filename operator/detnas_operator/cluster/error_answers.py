"""Answers of the API server that are no success: each becomes a ``ClusterError``."""

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from detnas_operator.cluster.connection import Answer, Request
from detnas_operator.cluster.errors import (
    AlreadyExists,
    ClusterError,
    Conflict,
    NotFound,
    Refused,
    Terminating,
    TooManyRequests,
    Unavailable,
)

_REMEDIES = {
    400: "this is a fault of the operator: report it with this message",
    401: "renew the operator's token or kubeconfig",
    405: "this is a fault of the operator: report it with this message",
    413: "make the search's manifest smaller",
}
_MAX_MESSAGE_BYTES = 2000


def error_from(answer: Answer, request: Request, what: str) -> ClusterError:
    """Return the error for an answer that is not a success.

    Args:
        request: what was sent; a 409 means different things for different verbs.
        what: what was requested, ``create jobs team-a/r18-t0007``.
    """
    status = _status(answer.data)
    reason = str(status.get("reason") or "")
    message = str(
        status.get("message") or answer.data[:_MAX_MESSAGE_BYTES].decode(errors="replace")
    ).strip()
    remedy = _remedy(answer.status, message)
    kind = _class(answer.status, request.method, reason, status)
    problem = f"{what}: {message[:_MAX_MESSAGE_BYTES] or 'no reason given'} ({answer.status})"
    after = _retry_after(answer.headers, status)
    return kind(
        problem,
        remedy,
        status=answer.status,
        reason=reason,
        retry_after=after,
        fields=tuple(sorted(_causes(status, "field"))),
    )


_BY_CODE: Mapping[int, type[ClusterError]] = {
    404: NotFound,
    410: Unavailable,  # a list took so long that its snapshot expired: a retry may succeed
    429: TooManyRequests,
}


def _class(code: int, method: str, reason: str, status: Mapping[str, Any]) -> type[ClusterError]:
    if code in _BY_CODE:
        return _BY_CODE[code]
    if code == 409:
        # A create can also meet a 409 of another kind: the quota was being counted just then.
        return AlreadyExists if method == "POST" and reason == "AlreadyExists" else Conflict
    if code == 403 and "NamespaceTerminating" in _causes(status, "reason"):
        return Terminating
    if code == 422 and "metadata.uid" in _causes(status, "field"):
        return Conflict  # a patch meant for another object of this name
    return Refused if 400 <= code < 500 else Unavailable


def _remedy(code: int, message: str) -> str:
    if code == 403 and 'User "' in message and " cannot " in message:
        return (
            "grant this to the operator's service account: list the namespace in the chart's value "
            "`namespaces` and upgrade the release, which binds the role"
        )
    return _REMEDIES.get(code, "")


def _status(data: bytes) -> dict[str, Any]:
    """Return the body as a metav1.Status; empty if it is not one."""
    with contextlib.suppress(ValueError):
        body = json.loads(data)
        if isinstance(body, dict) and body.get("kind") == "Status":
            return body
    return {}


def _causes(status: Mapping[str, Any], part: str) -> set[str]:
    details = status.get("details") or {}
    return {str(cause.get(part)) for cause in details.get("causes") or ()}


def _retry_after(headers: Mapping[str, str], status: Mapping[str, Any]) -> float | None:
    details = status.get("details") or {}
    for value in (headers.get("Retry-After"), details.get("retryAfterSeconds")):
        with contextlib.suppress(TypeError, ValueError):
            return float(value)  # type: ignore[arg-type] # a TypeError is what None is for
    return None
