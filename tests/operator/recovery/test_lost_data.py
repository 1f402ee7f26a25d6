"""What was finished is not begun again because the store has lost it: a person decides."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from detnas.lifecycle.pools.lease import Claim
from detnas.records import keys
from detnas.store import Store
from detnas.store.artifacts import load_record
from tests.cluster.api import SEARCHES
from tests.cluster.waiting import eventually
from tests.operator.recovery.scene import SHORT, Door, JobsSeen, Scene, Turns

ACCEPT = "detnas.dev/accept-data-loss"
TRIALS = ("one-t0000", "one-t0001")


def store_of(scene: Scene) -> tuple[Store, str]:
    """The store's root, and the key of the search's folder."""
    (root,) = scene.installation.settings["storage"]["allowed"]
    return scene.trainer.store(root), scene.status()["folder"].removeprefix(f"{root}/")


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


def lost(scene: Scene) -> str:
    """Wait until the search says that data is lost; return its message."""

    def said() -> str:
        condition = scene.condition("Degraded")
        return condition["message"] if condition.get("reason") == "DataLost" else ""

    return eventually(said)


def accept(scene: Scene) -> str:
    """Do what the message says; return the token."""
    value = lost(scene).partition(f"{ACCEPT}=")[2].partition(";")[0]
    scene.change({"metadata": {"annotations": {ACCEPT: value}}})
    return value


@contextmanager
def no_job_is_started(scene: Scene) -> Iterator[None]:
    """Check that none is, and that nothing of the status is forgotten."""
    before, uids = scene.status(), {job["metadata"]["uid"] for job in scene.jobs().values()}
    with JobsSeen(scene.cluster, scene.namespace) as seen:
        yield
        eventually(scene.has_passed)
    after = scene.status()
    assert {uid for some in seen.uids.values() for uid in some} <= uids
    for field in ("phase", "trials", "base", "best", "exported", "gpuHours", "teachers"):
        assert after.get(field) == before.get(field), field


@pytest.fixture
def ended(scene: Scene) -> Scene:
    """A search that has succeeded; the operator runs."""
    scene.play(Turns(scene.trainer, last=1))
    scene.begin(spec=SHORT)
    scene.operator.start()
    scene.await_end()
    scene.await_rest()
    return scene


def test_a_search_stays_succeeded_whose_data_is_gone_and_runs_again_once_that_is_accepted(
    ended: Scene,
) -> None:
    store, folder = store_of(ended)
    ended.operator.stop()
    assert delete(store, f"{ended.namespace}/")
    spent = {"status": {"gpuHours": "5.000"}}  # more than pods of tests can
    ended.cluster.api.patch(SEARCHES, ended.namespace, "one", spent, "status")
    with no_job_is_started(ended):
        ended.operator.start()
        said = lost(ended)
        ended.change({"metadata": {"labels": {"team": "vision"}}})
    for name in ("the data check", "the base", "2 of 2 finished trials", "search.json"):
        assert name in said
    assert "the exported student (" in said
    assert f"{folder}/students/best/result.json" in said
    assert ended.condition("Succeeded")["status"] == "True"
    assert not store.get(f"{folder}/search.json")

    value = accept(ended)
    eventually(lambda: ended.status().get("acceptedDataLoss") == value)
    status = ended.await_end()
    ended.await_rest()
    assert ended.condition("Degraded")["reason"] == "NothingWrong"
    assert status["trials"]["finished"] == 2
    assert float(status["lostGpuHours"]) == pytest.approx(5, abs=0.1)
    assert float(status["gpuHours"]) >= 5
    assert store.get(f"{folder}/search.json")

    delete(store, f"{folder}/trials/0001/", f"{folder}/ledger/")
    with no_job_is_started(ended):
        ended.operator.restart()
        said = lost(ended)
        assert "1 of 2 finished trials" in said
        assert value not in said  # the annotation still has it
    assert "AssertionError" not in ended.operator.log


def test_a_store_that_is_emptied_during_a_run_is_told_and_no_trial_begins(scene: Scene) -> None:
    door = Door()
    scene.play(Turns(scene.trainer, last=1, may_end=door))
    scene.begin(spec={**SHORT, "search": {**SHORT["search"], "trials": 4}})
    scene.operator.start()
    scene.await_running(*TRIALS)
    store, folder = store_of(scene)
    everything = delete(store, f"{scene.namespace}/")
    said = lost(scene)
    assert "the base (base/result.json)" in said
    assert f"(running: {', '.join(TRIALS)}; suspend the search to stop)" in said
    with no_job_is_started(scene):
        scene.operator.restart()
    assert len(scene.live_pods()) == len(TRIALS)

    for key, data in everything.items():
        store.put(key, data)
    door.open()
    status = scene.await_end()
    assert status["trials"]["succeeded"] == 4
    assert "acceptedDataLoss" not in status
    assert store.get(f"{folder}/search.json")
    assert "AssertionError" not in scene.operator.log


def test_a_trial_that_ends_into_an_emptied_store_starts_no_other(scene: Scene) -> None:
    door = Door()
    scene.play(Turns(scene.trainer, last=1, may_end=door))
    scene.begin(spec={**SHORT, "search": {**SHORT["search"], "trials": 4}})
    scene.operator.settings["progressSeconds"] = 3600  # so that only the trial's end is seen
    scene.operator.start()
    eventually(lambda: len(scene.live_pods()) == 2 and set(TRIALS) <= set(scene.jobs()))
    store, folder = store_of(scene)
    eventually(
        lambda: all(
            store.size(f"{folder}/trials/{n}/attempts/1/progress.json") for n in ("0000", "0001")
        )
    )
    requests = [f"{folder}/trials/{n}/request.json" for n in ("0000", "0001")]
    kept = {key: found.data for key in requests if (found := store.get(key))}
    delete(store, f"{scene.namespace}/")
    for key, data in kept.items():
        store.put(key, data)
    door.open()
    assert "the base (base/result.json)" in lost(scene)
    assert "one-t0002" not in scene.jobs()
    assert "AssertionError" not in scene.operator.log


def test_another_search_may_train_the_pool_of_one_whose_data_is_lost(scene: Scene) -> None:
    gate = threading.Event()
    scene.play(
        Turns(scene.trainer, last=1, may_end=lambda pod: "-pool-" not in pod.job or gate.is_set())
    )
    phases = {"phases": [{"epochs": 1, "learningRate": rate} for rate in ("0.1", "0.05")]}
    scene.begin(spec={**SHORT, "teachers": phases})
    scene.operator.start()
    scene.await_running("one-pool-0")
    store, folder = store_of(scene)
    record = store.get(keys.search_record_key(folder))
    assert record
    store.delete(keys.search_record_key(folder))
    assert not pool_claim(scene, store).released

    gate.set()
    lost(scene)
    eventually(lambda: pool_claim(scene, store).released)
    assert "one-pool-1" not in scene.jobs()

    store.put(keys.search_record_key(folder), record.data)
    scene.await_end()


def pool_claim(scene: Scene, store: Store) -> Claim:
    """The claim to the pool of the search."""
    pools = f"{scene.namespace}/pools/"
    (key,) = (key for key in store.list(pools) if key.endswith("/claim.json"))
    found = load_record(store, key, Claim)
    assert found
    return found
