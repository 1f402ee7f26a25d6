"""A store that refuses the operator, or is away, is reported; the search continues afterwards."""

import threading

from tests.cluster.api import Document
from tests.cluster.scripts import runs_until, succeeds
from tests.operator.harness.fixtures import MakeHarness
from tests.operator.harness.harness import ProxiedHarness
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


def test_search_reports_absent_store_and_continues_once_it_is_back(
    proxied: ProxiedHarness,
) -> None:
    released = threading.Event()
    proxied.on("cut-off-t0001", runs_until(released, succeeds(work=proxied.trainer)))
    proxied.operator.start()
    search = proxied.begin("cut-off", {"storage": {"onDelete": "Delete"}}, parallelism=1)
    search.until_runs("-t0001")
    search.until(lambda: search.trials["progress"] == "1/2")
    proxied.s3.go_down()
    search.until_condition("Degraded", "True", "StoreUnavailable")
    assert search.phase == "Searching"
    assert search.trials["progress"] == "1/2"
    assert search.event("StoreUnavailable")["type"] == "Warning"
    assert search.running("-t0001")
    released.set()
    ended = search.until(lambda: _ended(search.job("-t0001")))
    # Nobody has read its result yet: the Job, and its log, must stay.
    assert "ttlSecondsAfterFinished" not in ended["spec"]

    proxied.s3.come_up()
    search.until_phase("Succeeded")
    assert search.has_condition("Degraded", "False", "NothingWrong")
    assert search.recoveries("StoreUnavailable") == 1
    assert len(search.pods_of("-t0001")) == 1
    assert search.trials["infrastructure"] == 0
    search.until(lambda: "ttlSecondsAfterFinished" in _spec(search.job("-t0001")))

    proxied.s3.go_down()
    search.delete()
    search.until_condition("Degraded", "True", "StoreUnavailable")
    assert "deletionTimestamp" in search.resource["metadata"]
    proxied.s3.come_up()
    search.until_gone()
    assert list(search.store.list(f"{search.folder}/")) == []


def _ended(job: Document | None) -> Document | None:
    conditions = job["status"].get("conditions", []) if job else []
    return job if any(one["type"] == "Complete" for one in conditions) else None


def _spec(job: Document | None) -> Document:
    return dict(job["spec"]) if job else {}
