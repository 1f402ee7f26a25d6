"""A store that refuses the operator is reported; the search runs once it does not."""

from tests.operator.harness.fixtures import MakeHarness
from tests.seaweed import S3Server


def test_search_reports_store_that_refuses_operator_and_runs_once_keys_are_right(
    make_harness: MakeHarness, s3_server: S3Server, namespace: str
) -> None:
    harness = make_harness([namespace], environment={"AWS_SECRET_ACCESS_KEY": "wrong"})
    harness.operator.start()
    search = harness.begin("locked-out", trials=1)
    message = search.until_condition("Degraded", "True", "StoreRefused")["message"]
    assert "SignatureDoesNotMatch" in message, message
    assert search.phase == "Pending"
    assert search.condition("Accepted")["status"] == "Unknown"
    assert search.event("StoreRefused")["type"] == "Warning"
    assert not search.jobs()

    harness.operator.stop()
    harness.operator.environment["AWS_SECRET_ACCESS_KEY"] = s3_server.secret_key
    harness.operator.start()
    search.until_phase("Succeeded")
    assert search.event("Accepted")["type"] == "Normal"
