"""Each failure of the API server becomes the error that says what to do."""

import json
from typing import Any

import pytest

from detnas_operator.cluster import errors
from detnas_operator.cluster.connection import Answer, Request
from detnas_operator.cluster.error_answers import error_from


def refused(code: int, method: str = "POST", headers: dict | None = None, **status: Any) -> Any:
    body = {"kind": "Status", "apiVersion": "v1", "code": code, **status}
    answer = Answer(code, headers or {}, json.dumps(body).encode())
    return error_from(
        answer, Request(method, "/apis/batch/v1/namespaces/a/jobs"), "create jobs a/b"
    )


@pytest.mark.parametrize(
    ("code", "method", "reason", "error"),
    [
        (400, "POST", "BadRequest", errors.Refused),
        (401, "GET", "Unauthorized", errors.Refused),
        (403, "POST", "Forbidden", errors.Refused),
        (404, "POST", "NotFound", errors.NotFound),
        (409, "POST", "AlreadyExists", errors.AlreadyExists),
        (409, "POST", "Conflict", errors.Conflict),  # the quota was being counted
        (409, "PATCH", "Conflict", errors.Conflict),
        (409, "DELETE", "Conflict", errors.Conflict),
        (410, "GET", "Expired", errors.Unavailable),
        (413, "PATCH", "RequestEntityTooLarge", errors.Refused),
        (422, "POST", "Invalid", errors.Refused),
        (429, "POST", "TooManyRequests", errors.TooManyRequests),
        (500, "POST", "InternalError", errors.Unavailable),
        (503, "GET", "ServiceUnavailable", errors.Unavailable),
        (504, "POST", "Timeout", errors.Unavailable),
    ],
)
def test_error_from_a_refusal_has_its_class(
    code: int, method: str, reason: str, error: type[errors.ClusterError]
) -> None:
    found = refused(code, method, reason=reason, message="the server's words")
    assert type(found) is error
    assert (found.status, found.reason) == (code, reason)
    assert "the server's words" in str(found)
    assert "create jobs a/b" in str(found)


def test_error_from_a_terminating_namespace_is_no_missing_right() -> None:
    causes = {"causes": [{"reason": "NamespaceTerminating", "field": "metadata.namespace"}]}
    found = refused(403, reason="Forbidden", message="is being terminated", details=causes)
    assert type(found) is errors.Terminating


def test_error_from_a_missing_right_says_who_grants_it() -> None:
    words = 'jobs.batch is forbidden: User "system:x" cannot create resource "jobs"'
    assert "service account" in refused(403, message=words).remedy
    assert not refused(403, message="exceeded quota: pods=4").remedy


@pytest.mark.parametrize(
    ("headers", "details", "seconds"),
    [
        ({"Retry-After": "7"}, None, 7),
        ({}, {"retryAfterSeconds": 3}, 3),
        ({"Retry-After": "7"}, {"retryAfterSeconds": 3}, 7),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None, None),
        ({}, None, None),
    ],
    ids=str,
)
def test_error_from_an_answer_has_the_servers_delay(
    headers: dict, details: dict | None, seconds: float | None
) -> None:
    assert refused(429, headers=headers, details=details).retry_after == seconds


def test_error_from_an_answer_that_is_not_json_quotes_it() -> None:
    answer = Answer(502, {}, b"<html>bad gateway</html>")
    found = error_from(answer, Request("GET", "/"), "list jobs")
    assert type(found) is errors.Unavailable
    assert "bad gateway" in found.problem
