"""The operator is away for a while, and things change meanwhile."""

from detnas.records import keys
from detnas.records.results import DetectorResult
from detnas.store.artifacts import load_record
from tests.cluster.faults import Call
from tests.operator.harness.behaviours import Gate
from tests.operator.harness.checks import (
    JobWatch,
    check_decisions,
    check_search,
    check_status,
    check_weights,
    stored,
)
from tests.operator.harness.harness import ProxiedHarness
from tests.operator.harness.search import Search
from tests.operator.recovery.held_trials import TRIALS, create_held, run_to_trials

SEVERAL_SECONDS = 0.005
"""In hours, of two GPUs: more than their pods hold them before they begin to work."""


def end_trials_while_away(search: Search, gate: Gate) -> None:
    """Kill the operator while the trials run, and let them end."""
    operator = search.harness.operator
    operator.start()
    search.until_training(*TRIALS)
    operator.kill()
    gate.open()
    names = [search.name + trial for trial in TRIALS]
    search.until(lambda: all(search.jobs()[name]["status"].get("succeeded") for name in names))


def test_search_succeeds_when_jobs_end_while_the_operator_is_away(
    proxied: ProxiedHarness,
) -> None:
    search, gate = create_held(proxied)
    with JobWatch(search) as seen:
        end_trials_while_away(search, gate)
        proxied.operator.start()
        search.until_phase("Succeeded")
        search.until_settled()
    check_search(search, seen)


def test_result_without_its_weights_is_not_trusted_after_the_operator_was_away(
    proxied: ProxiedHarness,
) -> None:
    search, gate = create_held(proxied)
    with JobWatch(search) as seen:
        end_trials_while_away(search, gate)
        trial = keys.trial_folder(search.folder, 1)
        result = load_record(search.store, keys.result_key(trial), DetectorResult)
        assert result
        search.store.delete(result.weights.key)
        proxied.operator.start()
        search.until_phase("Succeeded")
        search.until_settled()
    assert (search.trials["infrastructure"], search.trials["succeeded"]) == (1, 2)
    failures = {one["trial"]: one["message"] for one in search.status["failures"]}
    assert "which is not in the store" in failures.pop(1)
    assert failures == {}
    made = {job: len(uids) for job, uids in seen.of(search).items() if "-t" in job}
    assert made == dict.fromkeys(("one-t0000", "one-t0001", "one-t0002"), 1)
    assert len(search.pods_of("-t0001")) == 1


def gpu_hours(search: Search) -> float:
    return float(search.status["gpuHours"])


def test_suspended_search_stays_so_over_a_restart_and_may_be_resumed_meanwhile(
    proxied: ProxiedHarness,
) -> None:
    search, gate = run_to_trials(proxied)
    before = gpu_hours(search)
    search.until(lambda: gpu_hours(search) >= before + SEVERAL_SECONDS)
    search.patch(suspend=True)
    search.until_condition("Suspended", "True")
    search.until(lambda: not search.live_pods())
    spent = gpu_hours(search)
    proxied.operator.kill()
    written = len(proxied.journal.writes())
    proxied.operator.start()
    search.until(proxied.has_passed)
    assert not search.live_pods()
    assert [call for call in proxied.journal.writes()[written:] if not is_probe(call)] == []
    assert search.phase == "Suspended"
    proxied.operator.kill()
    search.patch(suspend=False)
    gate.open()
    proxied.operator.start()
    search.until_phase("Succeeded")
    assert gpu_hours(search) >= spent, "what ran before the suspension counts"
    proxied.operator.restart()
    search.until_settled()
    search.until(proxied.has_passed)
    assert gpu_hours(search) >= spent
    found = stored(search)
    check_decisions(found)
    check_weights(found)
    check_status(search.status, found)
    assert search.condition("Suspended")["status"] == "False"


def test_search_deleted_while_the_operator_is_away_leaves_no_job(proxied: ProxiedHarness) -> None:
    search, _ = run_to_trials(proxied)
    proxied.operator.kill()
    search.delete()
    search.until(lambda: not search.jobs() and not search.live_pods())
    written = len(proxied.journal.writes())
    proxied.operator.start()
    namesake = proxied.begin("one", {"suspend": True}, search.namespace)
    namesake.until_condition("Suspended", "True")
    assert not namesake.jobs()
    assert namesake.stored_folder != search.folder
    api = [call for call in proxied.journal.writes("api")[written:] if call.method != "PATCH"]
    assert api == []
    assert search.store.get(keys.search_record_key(search.folder))


def test_data_to_be_deleted_goes_once_the_operator_is_back(proxied: ProxiedHarness) -> None:
    search, _ = run_to_trials(proxied, {"storage": {"onDelete": "Delete"}})
    found = stored(search)
    assert found.state.prepare
    pool = found.requests.pool_folder(found.state.prepare)
    pool_before = list(found.store.list(f"{pool}/"))
    proxied.operator.kill()
    search.delete()
    assert search.resource["metadata"]["deletionTimestamp"]
    proxied.operator.start()
    search.until_gone()
    assert not search.live_pods()
    assert list(found.store.list(f"{search.folder}/")) == []
    assert list(found.store.list(f"{pool}/")) == pool_before
    search.until(lambda: not search.jobs())


def is_probe(call: Call) -> bool:
    """Whether a write is one of those that test a store."""
    return "/.detnas/" in call.path
