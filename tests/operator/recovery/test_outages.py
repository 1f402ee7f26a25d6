"""What the operator needs goes away for a while: it says so where it can, and goes on."""

import time

import pytest

from tests.cluster.api import EVENTS
from tests.cluster.waiting import eventually
from tests.operator.recovery.scene import SHORT, Door, JobsSeen, Scene, Turns
from tests.operator.recovery.verdict import check_search

NONE: frozenset[int] = frozenset()
RESTART_SECONDS = 3.0
AWAY_SECONDS = 60.0


def test_the_api_server_may_restart(scene: Scene) -> None:
    door = Door()
    player = scene.play(Turns(scene.trainer, last=1, may_end=door))
    with JobsSeen(scene.cluster, scene.namespace) as seen:
        scene.begin(spec=SHORT)
        scene.operator.start()
        scene.await_running("one-t0000", "one-t0001")
        process = scene.operator.pid
        scene.cluster.stop_api_server(kill=True)
        door.open()
        time.sleep(RESTART_SECONDS)
        scene.cluster.start_api_server()
        scene.await_end()
        scene.await_rest()
    check_search(scene, player, seen, NONE)
    assert scene.operator.pid == process
    assert scene.operator.is_running


def test_watches_may_go_silent(scene: Scene) -> None:
    door = Door()
    player = scene.play(Turns(scene.trainer, last=1, may_end=door))
    scene.operator.settings["resyncSeconds"] = 2
    with JobsSeen(scene.cluster, scene.namespace) as seen:
        scene.begin(spec=SHORT)
        scene.operator.start()
        scene.await_running("one-t0000", "one-t0001")
        scene.api.silence_watches()
        door.open()
        scene.await_end()
        scene.await_rest()
    check_search(scene, player, seen, NONE)


@pytest.mark.slow
def test_the_store_may_be_away_for_a_minute(scene: Scene) -> None:
    door = Door()
    player = scene.play(Turns(scene.trainer, last=3, may_end=door))
    with JobsSeen(scene.cluster, scene.namespace) as seen:
        scene.begin()
        scene.operator.start()
        scene.await_running("one-t0000", "one-t0001")
        before = scene.status()
        scene.s3.go_down()
        door.open()
        gone = time.monotonic()
        told = scene.await_condition("Degraded", "True")
        assert told["reason"] == "StoreUnavailable"
        assert scene.installation.settings["storage"]["allowed"][0] in told["message"]
        assert "check the network" in told["message"]
        assert "continues by itself" in told["message"]
        scene.operator.restart()  # who begins while the store is away forgets nothing
        time.sleep(max(0.0, gone + AWAY_SECONDS - time.monotonic()))
        meanwhile = scene.status()
        still = scene.condition("Degraded")
        assert {**still, "message": ""} == {**told, "message": ""}
        eventually(scene.operator.is_ready)
        kept = ("phase", "folder", "image", "trials", "teachers", "base", "history")
        assert [meanwhile[field] for field in kept] == [before[field] for field in kept]
        scene.s3.come_up()
        assert scene.await_condition("Degraded", "False")["reason"] == "NothingWrong"
        scene.await_end()
        scene.await_rest()
    check_search(scene, player, seen, NONE)
    told_once = eventually(lambda: events(scene, "StoreUnavailable"))
    assert len(told_once) == 1, told_once
    assert events(scene, "Recovered") == ["resolved: StoreUnavailable"]


def events(scene: Scene, reason: str) -> list[str]:
    """Messages of the search's events of a reason."""
    found = scene.cluster.api.list(EVENTS, scene.namespace, fieldSelector=f"reason={reason}")
    return [event["message"] for event in found]
