"""What the API server does not do: which failures end a pass, and how they are told."""

import pytest

from detnas_operator.cluster import ClusterError, Refused, TooManyRequests, Unavailable
from detnas_operator.reconcile.api_errors import ApiErrors

WEBHOOK = Unavailable("create jobs a/b: failed calling webhook x (500)", status=500)


def taken(*errors: ClusterError) -> ApiErrors:
    undone = ApiErrors()
    for error in errors:
        with undone:
            raise error
    return undone


def test_a_pass_goes_on_after_an_answer() -> None:
    assert taken(WEBHOOK, WEBHOOK).errors == [WEBHOOK, WEBHOOK]


@pytest.mark.parametrize("error", [Unavailable("no answer"), ValueError("x")])
def test_a_pass_ends_where_there_is_no_answer_or_another_fault(error: Exception) -> None:
    undone = ApiErrors()
    with pytest.raises(type(error)), undone:
        raise error
    assert undone.errors == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (WEBHOOK, "AdmissionRefused"),
        (Unavailable("etcd is slow", status=500), "ClusterUnavailable"),
        (TooManyRequests("later", status=429), "ClusterUnavailable"),
        (Refused("pods is forbidden", "grant it", status=403), "ClusterRefused"),
    ],
)
def test_a_failure_is_told_once_in_the_servers_words(error: ClusterError, reason: str) -> None:
    (told,) = taken(error, error).troubles()
    assert told.reason == reason
    assert str(error) in told.message


def test_the_longest_time_that_the_server_asks_for_is_waited() -> None:
    soon, late = (TooManyRequests("x", status=429, retry_after=after) for after in (1.0, 30.0))
    assert taken(soon, late, WEBHOOK).first_to_try is late
