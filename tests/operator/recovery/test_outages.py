"""API server, watches or store are away for a while: the search reports it, and continues."""

import time

import pytest

from tests.cluster.api import Document
from tests.cluster.waiting import eventually
from tests.operator.harness.checks import JobWatch, check_search
from tests.operator.harness.harness import ProxiedHarness
from tests.operator.recovery.held_trials import TRIALS, create_held

RESTART_SECONDS = 3.0
AWAY_SECONDS = 20.0


def test_search_succeeds_over_a_restart_of_the_api_server(proxied: ProxiedHarness) -> None:
    search, gate = create_held(proxied)
    with JobWatch(search) as seen:
        proxied.operator.start()
        search.until_training(*TRIALS)
        process = proxied.operator.pid
        proxied.cluster.stop_api_server(kill=True)
        gate.open()
        time.sleep(RESTART_SECONDS)
        proxied.cluster.start_api_server()
        search.until_phase("Succeeded")
        search.until_settled()
    check_search(search, seen)
    assert proxied.operator.pid == process
    assert proxied.operator.is_running


def test_search_succeeds_when_watches_go_silent(proxied: ProxiedHarness) -> None:
    proxied.operator.settings["resyncSeconds"] = 2
    search, gate = create_held(proxied)
    with JobWatch(search) as seen:
        proxied.operator.start()
        search.until_training(*TRIALS)
        proxied.api.silence_watches()
        gate.open()
        search.until_phase("Succeeded")
        search.until_settled()
    check_search(search, seen)


@pytest.mark.slow
def test_search_reports_a_store_that_is_away_and_then_succeeds(
    proxied: ProxiedHarness,
) -> None:
    search, gate = create_held(proxied, {"finetune": {"epochs": 1}}, last=3, trials=4)
    with JobWatch(search) as seen:
        proxied.operator.start()
        search.until_training(*TRIALS)
        before = search.status
        proxied.s3.go_down()
        gate.open()
        gone = time.monotonic()
        reported = search.until_condition("Degraded", "True", "StoreUnavailable")
        assert proxied.root in reported["message"]
        assert "check the network" in reported["message"]
        assert "continues by itself" in reported["message"]
        assert search.event("StoreUnavailable")["type"] == "Warning"
        ended = search.until(lambda: completed(search.job("-t0000")))
        # Nobody has read its result yet: the Job, and its log, must stay.
        assert "ttlSecondsAfterFinished" not in ended["spec"]
        proxied.operator.restart()  # one that starts while the store is away forgets nothing
        time.sleep(max(0.0, gone + AWAY_SECONDS - time.monotonic()))
        meanwhile = search.status
        assert {**search.condition("Degraded"), "message": ""} == {**reported, "message": ""}
        eventually(proxied.operator.is_ready)
        kept = ("phase", "folder", "image", "trials", "teachers", "base", "history")
        assert [meanwhile[field] for field in kept] == [before[field] for field in kept]
        proxied.s3.come_up()
        search.until_condition("Degraded", "False", "NothingWrong")
        search.until_phase("Succeeded")
        search.until_settled()
    check_search(search, seen)
    assert len(search.events("StoreUnavailable")) == 1
    assert search.messages("Recovered") == ["resolved: StoreUnavailable"]


def completed(job: Document | None) -> Document | None:
    """A Job that is complete; None before."""
    conditions = job["status"].get("conditions", []) if job else []
    return job if any(one["type"] == "Complete" for one in conditions) else None
