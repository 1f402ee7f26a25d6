"""Errors of the API server that a pass continues after, and their reasons."""

from typing import NoReturn

import pytest

from detnas_operator.cluster import ClusterError, Refused, TooManyRequests, Unavailable
from detnas_operator.search_jobs.api_errors import ApiErrors

WEBHOOK = Unavailable("create jobs a/b: failed calling webhook x (500)", status=500)


def taken(*errors: ClusterError) -> ApiErrors:
    api_errors = ApiErrors()
    for error in errors:
        assert api_errors.attempt(fail, error) is None
    return api_errors


def fail(error: Exception) -> NoReturn:
    raise error


def test_api_errors_take_an_answered_error() -> None:
    assert taken(WEBHOOK, WEBHOOK).errors == [WEBHOOK, WEBHOOK]


@pytest.mark.parametrize("error", [Unavailable("no answer"), ValueError("x")])
def test_api_errors_raise_an_unanswered_or_other_error(error: Exception) -> None:
    api_errors = ApiErrors()
    with pytest.raises(type(error)):
        api_errors.attempt(fail, error)
    assert api_errors.errors == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (WEBHOOK, "AdmissionRefused"),
        (Unavailable("etcd is slow", status=500), "ClusterUnavailable"),
        (TooManyRequests("later", status=429), "ClusterUnavailable"),
        (Refused("pods is forbidden", "grant it", status=403), "ClusterRefused"),
    ],
)
def test_api_errors_give_a_reason_once_in_the_servers_words(
    error: ClusterError, reason: str
) -> None:
    (reason_found,) = taken(error, error).reasons()
    assert reason_found.code == reason
    assert str(error) in reason_found.message


def test_api_errors_retry_after_the_longest_delay() -> None:
    soon, late = (TooManyRequests("x", status=429, retry_after=after) for after in (1.0, 30.0))
    assert taken(soon, late, WEBHOOK).latest_retry is late
