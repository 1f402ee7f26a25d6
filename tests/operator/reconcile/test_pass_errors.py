"""Errors of the API server that a pass continues after, and unexpected ones, as reasons."""

from typing import NoReturn

import pytest

from detnas_operator.cluster import ClusterError, Refused, TooManyRequests, Unavailable
from detnas_operator.reconcile.pass_errors import ApiErrors, trace_id, unexpected_reason

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
def test_reasons_name_an_error_once_in_the_servers_words(error: ClusterError, reason: str) -> None:
    (reason_found,) = taken(error, error).reasons()
    assert reason_found.code == reason
    assert str(error) in reason_found.message


def test_latest_retry_is_the_longest_of_all_errors() -> None:
    soon, late = (TooManyRequests("x", status=429, retry_after=after) for after in (1.0, 30.0))
    assert taken(soon, late, WEBHOOK).latest_retry is late


def raised(message: str) -> Exception:
    labels: dict[str, str] = {}
    try:
        labels[message]
    except KeyError as error:
        return error
    raise AssertionError


def test_trace_id_of_the_same_place_is_the_same() -> None:
    """A status that changed at every pass would be written at every pass."""
    assert trace_id(raised("one")) == trace_id(raised("two"))
    assert trace_id(ValueError()) != trace_id(raised("one"))


def test_unexpected_reason_names_the_error_and_its_trace() -> None:
    error = raised("detnas.dev/verb")
    found = unexpected_reason(error, trace_id(error))
    assert found.code == "SearchFailed"
    assert "(KeyError: 'detnas.dev/verb')" in found.message
    assert f"trace {trace_id(error)}" in found.message
    assert "damaged" not in found.message
    assert "(AssertionError)" in unexpected_reason(AssertionError(), "0").message
