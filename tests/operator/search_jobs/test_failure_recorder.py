"""The message of a failed job says everything once, and in which object to fix it."""

import pytest

from detnas_operator.configuration.settings import Tenant
from detnas_operator.search_jobs.failure_recorder import failure_message

TENANT = Tenant(namespace="*", credentials_secret="detnas-s3")
GAVE_UP = "Job a-prepare gave up after its only attempt: pod a-prepare-x1 ended with exit 1"
KEYS = "error: s3://b/p: the server refuses AWS_SECRET_ACCESS_KEY; correct AWS_SECRET_ACCESS_KEY"
SECRET = "the keys are in Secret detnas-s3 of namespace team-a"


def told(message: str, *log_end: str, tenant: Tenant = TENANT) -> str:
    return failure_message(message, log_end, tenant, "team-a")


def test_failure_message_has_the_last_line_once() -> None:
    message = f"{GAVE_UP}; its last line: error: no such file"
    assert told(message, "00:49:48 error: no such  file") == message
    assert told(message, "00:49:47 reads", "00:49:48 error: no such file") == (
        f"{message}; the end of its log, before that:\n00:49:47 reads"
    )


def test_failure_message_has_a_cut_last_line_once() -> None:
    message = f"{GAVE_UP}; its last line: error: {'x' * 100}…"
    assert told(message, f"00:49:48 error: {'x' * 200}") == message


def test_failure_message_adds_the_end_of_the_log() -> None:
    assert told(GAVE_UP, "one", "two") == f"{GAVE_UP}; the end of its log:\none\ntwo"
    assert told(GAVE_UP, "x" * 900) == f"{GAVE_UP}; the end of its log:\n{'x' * 300}"
    assert told(GAVE_UP) == GAVE_UP


@pytest.mark.parametrize(
    ("message", "log_end"),
    [(f"{GAVE_UP}; its last line: {KEYS}", [f"00:49:48 {KEYS}"]), (GAVE_UP, [KEYS])],
)
def test_failure_message_names_the_secret_of_wrong_credentials(
    message: str, log_end: list[str]
) -> None:
    said = told(message, *log_end)
    assert said.count(KEYS) == 1
    assert said.count(SECRET) == 1


def test_failure_message_with_a_workload_identity_names_its_account() -> None:
    said = told(f"{GAVE_UP}; its last line: {KEYS}", tenant=Tenant(namespace="team-a"))
    assert said.endswith("the keys come with service account detnas-trainer of namespace team-a")
    assert "detnas-s3" not in told(GAVE_UP, "one")
