"""A search that must not run is stopped, whatever the operator can not have of it."""

from detnas.store import Store
from tests.cluster.waiting import eventually
from tests.operator.recovery.scene import SHORT, Door, Scene, Turns

TRIALS = ("one-t0000", "one-t0001")


def running(scene: Scene) -> Door:
    """Bring a search to its two trials, which do not end before the door is opened."""
    door = Door()
    scene.play(Turns(scene.trainer, last=1, may_end=door))
    scene.begin(spec=SHORT)
    scene.operator.start()
    scene.await_running(*TRIALS)
    return door


def check_it_stops(scene: Scene, condition: str, status: str, reason: str) -> None:
    """Check that no pod is left, and that the search says so."""
    eventually(lambda: not scene.live_pods())
    eventually(lambda: scene.condition(condition)["reason"] == reason)
    assert scene.condition(condition)["status"] == status
    assert scene.condition("Searching")["status"] == "False"
    assert scene.status()["active"] == []
    assert not set(TRIALS) & set(scene.jobs())


def suspend(scene: Scene, *, wanted: bool) -> None:
    scene.change({"spec": {"suspend": wanted}})


def test_a_search_can_be_suspended_while_the_store_is_away(scene: Scene) -> None:
    door = running(scene)
    scene.s3.go_down()
    scene.operator.restart()  # who begins now has never read the search
    assert scene.await_condition("Degraded", "True")["reason"] == "StoreUnavailable"
    assert len(scene.live_pods()) == len(TRIALS)
    suspend(scene, wanted=True)
    check_it_stops(scene, "Suspended", "True", "SuspendedByUser")
    assert scene.status()["phase"] == "Suspended"
    assert scene.condition("Degraded")["reason"] == "StoreUnavailable"

    scene.s3.come_up()
    scene.await_condition("Degraded", "False")
    assert scene.condition("Suspended")["reason"] == "SuspendedByUser"
    suspend(scene, wanted=False)
    door.open()
    assert scene.await_end()["trials"]["succeeded"] == len(TRIALS)


def test_a_search_whose_record_is_damaged_can_be_suspended(scene: Scene) -> None:
    door = running(scene)
    store, key = record(scene)
    sound = store.get(key)
    assert sound
    store.put(key, b"{")
    suspend(scene, wanted=True)
    check_it_stops(scene, "Suspended", "True", "SuspendedByUser")
    told = scene.await_condition("Degraded", "True")
    assert (told["reason"], "search.json" in told["message"]) == ("StoreRefused", True)

    store.put(key, sound.data)
    scene.await_condition("Degraded", "False")
    suspend(scene, wanted=False)
    door.open()
    status = scene.await_end()
    assert status["trials"]["infrastructure"] == 0


def test_a_search_that_is_accepted_no_longer_is_stopped(scene: Scene) -> None:
    door = running(scene)
    tenants = scene.operator.settings["tenants"]
    scene.operator.settings["tenants"] = []
    scene.operator.restart()
    check_it_stops(scene, "Accepted", "False", "CredentialsMissing")
    assert scene.condition("Suspended")["message"] == (
        "the search is not accepted: none of its jobs runs"
    )
    scene.operator.stop()
    scene.operator.settings["tenants"] = tenants
    scene.operator.start()
    door.open()
    status = scene.await_end()
    assert status["trials"]["infrastructure"] == 0


def record(scene: Scene) -> tuple[Store, str]:
    """The search's record: its store and key."""
    (root,) = scene.installation.settings["storage"]["allowed"]
    return scene.trainer.store(
        root
    ), f"{scene.status()['folder'].removeprefix(root)[1:]}/search.json"
