"""What was finished does not start again because the store has lost it: a person decides."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from detnas.lifecycle.pools.lease import LeaseRecord
from detnas.records import keys
from detnas.store import Store
from detnas.store.artifacts import load_record
from tests.cluster.scripts import succeeds
from tests.operator.harness.behaviours import InTurn, publishes
from tests.operator.harness.checks import JobWatch
from tests.operator.harness.harness import ProxiedHarness
from tests.operator.harness.search import Search
from tests.operator.recovery.held_trials import TRIALS, create_held, run_to_trials
from tests.operator.scenarios.test_final_stages import UNSEEN, seen

ACCEPT = "detnas.dev/accept-data-loss"


def delete(store: Store, *prefixes: str) -> dict[str, bytes]:
    """Delete all below some folders; return what was there."""
    taken = {}
    for prefix in prefixes:
        for key in list(store.list(prefix)):
            found = store.get(key)
            assert found
            taken[key] = found.data
            store.delete(key)
    return taken


def put(store: Store, objects: dict[str, bytes]) -> None:
    for key, data in objects.items():
        store.put(key, data)


def lost(search: Search) -> str:
    """Wait until the search reports lost data; return the message."""
    return str(search.until_condition("Degraded", "True", "DataLost")["message"])


def accept(search: Search) -> str:
    """Do what the message says; return the token."""
    value = lost(search).partition(f"{ACCEPT}=")[2].partition(";")[0]
    search.annotate(ACCEPT, value)
    return value


@contextmanager
def no_job_is_started(harness: ProxiedHarness, search: Search) -> Iterator[None]:
    """Check that none is, and that the status forgets nothing."""
    before, uids = search.status, {job["metadata"]["uid"] for job in search.jobs().values()}
    with JobWatch(search) as seen:
        yield
        search.until(harness.has_passed)
    after = search.status
    assert {uid for some in seen.of(search).values() for uid in some} <= uids
    for field in ("phase", "trials", "base", "best", "exported", "gpuHours", "teachers"):
        assert after.get(field) == before.get(field), field


def test_succeeded_search_whose_data_is_gone_runs_again_only_once_that_is_accepted(
    proxied: ProxiedHarness,
) -> None:
    proxied.play(InTurn(proxied.trainer, last=1))
    search = proxied.begin("one")
    store, folder = search.store, search.folder
    proxied.operator.start()
    search.until_phase("Succeeded")
    search.until_settled()
    proxied.operator.stop()
    assert delete(store, f"{search.namespace}/")
    spent = {"status": {"gpuHours": "5.000"}}  # more than pods of tests can
    search.patch_resource(spent, "status")
    with no_job_is_started(proxied, search):
        proxied.operator.start()
        message = lost(search)
        search.patch_resource({"metadata": {"labels": {"team": "vision"}}})
    for name in ("the data check", "the base", "2 of 2 finished trials", "search.json"):
        assert name in message
    assert "the exported student (" in message
    assert f"{folder}/students/best/result.json" in message
    assert search.condition("Succeeded")["status"] == "True"
    assert not search.text("search.json")

    value = accept(search)
    search.until(lambda: search.status.get("acceptedDataLoss") == value)
    search.until_phase("Succeeded")
    search.until_settled()
    status = search.status
    assert search.condition("Degraded")["reason"] == "NothingWrong"
    assert status["trials"]["finished"] == 2
    assert float(status["lostGpuHours"]) == pytest.approx(5, abs=0.1)
    assert float(status["gpuHours"]) >= 5
    assert search.text("search.json")

    delete(store, f"{folder}/trials/0001/", f"{folder}/ledger/")
    with no_job_is_started(proxied, search):
        proxied.operator.restart()
        message = lost(search)
        assert "1 of 2 finished trials" in message
        assert value not in message  # the annotation still has it
    assert "AssertionError" not in proxied.operator.log


def test_final_stage_whose_result_is_lost_is_repeated_only_once_that_is_accepted(
    proxied: ProxiedHarness,
) -> None:
    proxied.on("one-prepare", succeeds(work=publishes(proxied.trainer, seen)))
    spec = {"dataset": UNSEEN, "finetune": {"epochs": 1}, "baselines": ["ContinuedBase"]}
    search = proxied.begin("one", spec)
    proxied.operator.start()
    search.until_phase("Succeeded")
    search.until_settled()
    before = [search.starts.count(job) for job in ("finetune", "baselines/continued", "test")]
    assert before == [1, 1, 1]
    store, folder = search.store, search.folder
    gone = {
        keys.final_test_folder(folder): "the scores on the test images (test/result.json)",
        keys.baseline_folder(folder, "continued"): "the baseline 'continued base'",
        keys.finetune_folder(folder): "the fine-tuning of trial ",
    }
    for job, name in gone.items():
        taken = delete(store, f"{job}/")
        with no_job_is_started(proxied, search):
            proxied.operator.restart()
            assert name in lost(search)
        assert search.phase == "Succeeded"
        put(store, taken)
        search.until_condition("Degraded", "False", "NothingWrong")

    store.delete(keys.result_key(keys.final_test_folder(folder)))
    proxied.operator.restart()
    value = accept(search)
    search.until(lambda: search.status.get("acceptedDataLoss") == value)
    search.until(lambda: search.starts.count("test") == 2)
    search.until_phase("Succeeded")
    search.until_condition("Degraded", "False", "NothingWrong")
    assert search.starts.count("baselines/continued") == 1
    assert "testH" in search.status["exported"]


def test_running_search_reports_an_emptied_store_and_begins_no_trial(
    proxied: ProxiedHarness,
) -> None:
    search, gate = run_to_trials(proxied, trials=4)
    everything = delete(search.store, f"{search.namespace}/")
    base = "the base (base/result.json)"
    search.until(lambda: base in lost(search))  # a pass may see some of the deletions
    message = lost(search)
    assert "(running: one-t0000, one-t0001; suspend the search to stop)" in message
    with no_job_is_started(proxied, search):
        proxied.operator.restart()
    assert len(search.live_pods()) == len(TRIALS)

    put(search.store, everything)
    gate.open()
    search.until_phase("Succeeded")
    assert search.trials["succeeded"] == 4
    assert "acceptedDataLoss" not in search.status
    assert search.text("search.json")
    assert "AssertionError" not in proxied.operator.log


def test_trial_that_ends_into_an_emptied_store_starts_no_other(proxied: ProxiedHarness) -> None:
    proxied.operator.settings["progressSeconds"] = 3600  # so that only the trial's end is seen
    search, gate = create_held(proxied, trials=4)
    proxied.operator.start()
    trials = [keys.trial_folder(search.folder, number) for number in (0, 1)]
    search.until(lambda: all(search.store.size(f"{t}/attempts/1/progress.json") for t in trials))
    everything = delete(search.store, f"{search.namespace}/")
    requests = [f"{trial}/request.json" for trial in trials]
    put(search.store, {key: everything[key] for key in requests})
    gate.open()
    search.until(lambda: "the base (base/result.json)" in lost(search))
    assert not search.job("-t0002")
    assert "AssertionError" not in proxied.operator.log


def test_other_search_may_train_the_pool_of_a_search_whose_data_is_lost(
    proxied: ProxiedHarness,
) -> None:
    gate = threading.Event()
    proxied.play(
        InTurn(proxied.trainer, last=1, may_end=lambda p: "-pool-" not in p.job or gate.is_set())
    )
    phases = {"phases": [{"epochs": 1, "learningRate": rate} for rate in ("0.1", "0.05")]}
    search = proxied.begin("one", {"teachers": phases})
    proxied.operator.start()
    search.until_training("-pool-0")
    key = keys.search_record_key(search.folder)
    record = search.store.get(key)
    assert record
    search.store.delete(key)
    assert not pool_lease(search).released

    gate.set()
    lost(search)
    search.until(lambda: pool_lease(search).released)
    assert not search.job("-pool-1")

    search.store.put(key, record.data)
    search.until_phase("Succeeded")


def pool_lease(search: Search) -> LeaseRecord:
    """The lease of the search's pool."""
    pools = f"{search.namespace}/pools/"
    (key,) = (key for key in search.store.list(pools) if key.endswith("/claim.json"))
    found = load_record(search.store, key, LeaseRecord)
    assert found
    return found
