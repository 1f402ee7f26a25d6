"""The operator is away for a while, and things change meanwhile."""

from detnas.records import keys
from detnas.records.results import DetectorResult
from detnas.store.artifacts import load_record
from tests.cluster.api import JOBS, SEARCHES
from tests.cluster.faults import Call
from tests.cluster.waiting import eventually
from tests.operator.recovery.scene import SHORT, Door, JobsSeen, Scene, Turns
from tests.operator.recovery.verdict import (
    check_decisions,
    check_search,
    check_status,
    check_weights,
    stored,
)

NONE: frozenset[int] = frozenset()
TRIALS = ("one-t0000", "one-t0001")
SEVERAL_SECONDS = 0.005
"""In hours, of two GPUs: more than their pods hold them before they begin to work."""


def end_while_away(scene: Scene, door: Door) -> None:
    """Kill the operator while the trials run, and let them end."""
    scene.begin(spec=SHORT)
    scene.operator.start()
    scene.await_running(*TRIALS)
    scene.operator.kill()
    door.open()
    eventually(lambda: all(scene.jobs()[name]["status"].get("succeeded") for name in TRIALS))


def test_jobs_may_end_while_the_operator_is_away(scene: Scene) -> None:
    door = Door()
    player = scene.play(Turns(scene.trainer, last=1, may_end=door))
    with JobsSeen(scene.cluster, scene.namespace) as seen:
        end_while_away(scene, door)
        scene.operator.start()
        scene.await_end()
        scene.await_rest()
    check_search(scene, player, seen, NONE)


def test_a_result_without_its_weights_is_not_believed_because_the_operator_was_away(
    scene: Scene,
) -> None:
    door = Door()
    player = scene.play(Turns(scene.trainer, last=1, may_end=door))
    with JobsSeen(scene.cluster, scene.namespace) as seen:
        end_while_away(scene, door)
        store, trial = stored(scene).store, keys.trial_folder(stored(scene).requests.search, 1)
        result = load_record(store, keys.result_key(trial), DetectorResult)
        assert result
        store.delete(result.weights.key)
        scene.operator.start()
        scene.await_end()
        scene.await_rest()
    counted = scene.status()["trials"]
    assert (counted["infrastructure"], counted["succeeded"]) == (1, 2)
    failures = {one["trial"]: one["message"] for one in scene.status()["failures"]}
    assert "which is not in the store" in failures.pop(1)
    assert failures == {}
    told = {trial: len(uids) for (_, trial), uids in seen.uids.items() if "-t" in trial}
    assert told == dict.fromkeys((*TRIALS, "one-t0002"), 1)
    assert len([pod for pod in player.played if pod.job == "one-t0001"]) == 1


def test_time_before_a_suspension_counts_when_the_trial_has_ended_and_after_a_restart(
    scene: Scene,
) -> None:
    door = Door()
    scene.play(Turns(scene.trainer, last=1, may_end=door))
    scene.begin(spec=SHORT)
    scene.operator.start()
    scene.await_running(*TRIALS)
    before = gpu_hours(scene)
    eventually(lambda: gpu_hours(scene) >= before + SEVERAL_SECONDS)
    scene.change({"spec": {"suspend": True}})
    scene.await_condition("Suspended", "True")
    eventually(lambda: not scene.live_pods())
    spent = gpu_hours(scene)
    door.open()
    scene.change({"spec": {"suspend": False}})
    scene.await_end()
    assert gpu_hours(scene) >= spent
    scene.operator.kill()
    scene.operator.start()
    scene.await_rest()
    eventually(scene.has_passed)
    assert gpu_hours(scene) >= spent


def gpu_hours(scene: Scene) -> float:
    """What the status says."""
    return float(scene.status()["gpuHours"])


def test_a_suspended_search_stays_so_over_a_restart_and_may_be_resumed_meanwhile(
    scene: Scene,
) -> None:
    door = Door()
    scene.play(Turns(scene.trainer, last=1, may_end=door))
    scene.begin(spec=SHORT)
    scene.operator.start()
    scene.await_running(*TRIALS)
    scene.change({"spec": {"suspend": True}})
    scene.await_condition("Suspended", "True")
    eventually(lambda: not scene.live_pods())
    scene.operator.kill()
    written = len(scene.journal.writes())
    scene.operator.start()
    eventually(scene.has_passed)
    assert not scene.live_pods()
    assert [call for call in scene.journal.writes()[written:] if not is_probe(call)] == []
    assert scene.status()["phase"] == "Suspended"
    scene.operator.kill()
    scene.change({"spec": {"suspend": False}})
    door.open()
    scene.operator.start()
    scene.await_end()
    scene.await_rest()
    found = stored(scene)
    check_decisions(found)
    check_weights(found)
    check_status(scene.status(), found, NONE)
    assert scene.condition("Suspended")["status"] == "False"


def test_a_search_deleted_while_the_operator_is_away_leaves_no_job(scene: Scene) -> None:
    scene.play(Turns(scene.trainer, last=1, may_end=Door()))
    scene.begin(spec=SHORT)
    scene.operator.start()
    scene.await_running(*TRIALS)
    found = stored(scene)
    scene.operator.kill()
    scene.cluster.api.delete(SEARCHES, scene.namespace, "one")
    eventually(lambda: not scene.jobs() and not scene.live_pods())
    written = len(scene.journal.writes())
    scene.operator.start()
    scene.begin(spec={**SHORT, "suspend": True})  # its namesake is another search
    scene.await_condition("Suspended", "True")
    assert not scene.jobs()
    assert stored(scene).requests.search != found.requests.search
    api = [call for call in scene.journal.writes("api")[written:] if call.method != "PATCH"]
    assert api == []
    assert found.store.get(keys.search_record_key(found.requests.search))


def test_data_to_be_deleted_goes_when_the_operator_is_back(scene: Scene) -> None:
    scene.play(Turns(scene.trainer, last=1, may_end=Door()))
    scene.begin(spec={**SHORT, "storage": {"onDelete": "Delete"}})
    scene.operator.start()
    scene.await_running(*TRIALS)
    found = stored(scene)
    assert found.state.prepare
    pool = found.requests.pool_folder(found.state.prepare)
    pool_before = list(found.store.list(f"{pool}/"))
    scene.operator.kill()
    scene.cluster.api.delete(SEARCHES, scene.namespace, "one")
    assert scene.resource()["metadata"]["deletionTimestamp"]
    scene.operator.start()
    eventually(lambda: scene.cluster.api.find(SEARCHES, scene.namespace, "one") is None)
    assert not scene.live_pods()
    assert list(found.store.list(f"{found.requests.search}/")) == []
    assert list(found.store.list(f"{pool}/")) == pool_before
    eventually(lambda: not scene.cluster.api.list(JOBS, scene.namespace))


def is_probe(call: Call) -> bool:
    """Whether a write is one of those that test a store."""
    return "/.detnas/" in call.path
