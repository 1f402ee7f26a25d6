"""A search that must not run is stopped, whatever the operator cannot read or list."""

from detnas.records import keys
from tests.operator.harness.harness import ProxiedHarness
from tests.operator.harness.search import Search
from tests.operator.recovery.held_trials import TRIALS, run_to_trials


def check_it_stops(search: Search, condition: str, status: str, reason: str) -> None:
    """Check that no pod is left, and that the condition shows it."""
    search.until(lambda: not search.live_pods())
    search.until_condition(condition, status, reason)
    assert search.condition("Searching")["status"] == "False"
    assert search.status["active"] == []
    assert not any(search.job(trial) for trial in TRIALS)


def test_search_can_be_suspended_while_the_store_is_away(proxied: ProxiedHarness) -> None:
    search, gate = run_to_trials(proxied)
    proxied.s3.go_down()
    proxied.operator.restart()  # an operator that starts now has never read the search
    search.until_condition("Degraded", "True", "StoreUnavailable")
    assert len(search.live_pods()) == len(TRIALS)
    search.patch(suspend=True)
    check_it_stops(search, "Suspended", "True", "SuspendedByUser")
    assert search.phase == "Suspended"
    assert search.condition("Degraded")["reason"] == "StoreUnavailable"

    proxied.s3.come_up()
    search.until_condition("Degraded", "False")
    assert search.condition("Suspended")["reason"] == "SuspendedByUser"
    search.patch(suspend=False)
    gate.open()
    search.until_phase("Succeeded")
    assert search.trials["succeeded"] == len(TRIALS)


def test_search_whose_record_is_damaged_can_be_suspended(proxied: ProxiedHarness) -> None:
    search, gate = run_to_trials(proxied)
    key = keys.search_record_key(search.folder)
    sound = search.store.get(key)
    assert sound
    search.store.put(key, b"{")
    search.patch(suspend=True)
    check_it_stops(search, "Suspended", "True", "SuspendedByUser")
    assert "search.json" in search.until_condition("Degraded", "True", "StoreRefused")["message"]

    search.store.put(key, sound.data)
    search.until_condition("Degraded", "False")
    search.patch(suspend=False)
    gate.open()
    search.until_phase("Succeeded")
    assert search.trials["infrastructure"] == 0


def test_search_that_is_no_longer_accepted_is_stopped(proxied: ProxiedHarness) -> None:
    search, gate = run_to_trials(proxied)
    tenants = proxied.operator.settings["tenants"]
    proxied.operator.settings["tenants"] = []
    proxied.operator.restart()
    check_it_stops(search, "Accepted", "False", "CredentialsMissing")
    assert search.condition("Suspended")["message"] == (
        "the search is not accepted: none of its jobs runs"
    )
    proxied.operator.stop()
    proxied.operator.settings["tenants"] = tenants
    proxied.operator.start()
    gate.open()
    search.until_phase("Succeeded")
    assert search.trials["infrastructure"] == 0
