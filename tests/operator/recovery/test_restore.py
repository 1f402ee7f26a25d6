"""A resource that is restored or made again goes on with its data, and asks where it is unclear."""

import pytest

from tests.cluster.api import SEARCHES, Document
from tests.cluster.waiting import eventually
from tests.operator.recovery.scene import SHORT, JobsSeen, Scene, Turns

ADOPT = "detnas.dev/adopt"


@pytest.fixture
def backup(scene: Scene) -> Document:
    """A search that has succeeded, as it was before its resource was deleted; nothing runs."""
    scene.play(Turns(scene.trainer, last=1))
    scene.begin(spec=SHORT)
    scene.operator.start()
    scene.await_end()
    scene.await_rest()
    scene.operator.stop()
    found = scene.resource()
    scene.cluster.api.delete(SEARCHES, scene.namespace, "one")
    eventually(lambda: not scene.jobs())
    assert scene.cluster.api.find(SEARCHES, scene.namespace, "one") is None
    return found


def test_with_its_status_it_goes_on_at_once(scene: Scene, backup: Document) -> None:
    made = scene.begin(spec=SHORT)
    assert made["metadata"]["uid"] != backup["metadata"]["uid"]
    restored = {"status": backup["status"]}
    scene.cluster.api.patch(SEARCHES, scene.namespace, "one", restored, "status")
    with JobsSeen(scene.cluster, scene.namespace) as seen:
        scene.operator.start()
        eventually(scene.has_passed)
        scene.change({"spec": {"search": {"trials": 3}}})
        eventually(lambda: scene.status()["trials"].get("finished") == 3)
        scene.await_end()
    assert scene.status()["folder"] == backup["status"]["folder"]
    started = {name for _, name in seen.uids}
    assert "one-t0002" in started
    assert not started & {"one-prepare", "one-base", "one-pool-0", "one-t0000", "one-t0001"}


def test_without_a_status_it_asks_and_goes_on_with_what_a_person_names(
    scene: Scene, backup: Document
) -> None:
    scene.begin(spec=SHORT)
    folder = backup["status"]["folder"].rpartition("/")[2]
    with JobsSeen(scene.cluster, scene.namespace) as seen:
        scene.operator.start()
        said = eventually(lambda: str(scene.condition("Degraded").get("message", "")))
        assert scene.condition("Degraded")["reason"] == "EarlierData"
        assert f"{folder} (2 finished trials)" in said
        assert (
            f"{ADOPT}={folder} to continue with it, or {ADOPT}=none to begin from scratch" in said
        )
        scene.change({"metadata": {"annotations": {ADOPT: "another-01234567"}}})
        eventually(lambda: "which is no folder" in scene.condition("Degraded")["message"])
        scene.change({"metadata": {"annotations": {ADOPT: folder}}})
        status = scene.await_end()
    assert seen.uids == {}
    assert status["folder"] == backup["status"]["folder"]
    assert status["exported"] == backup["status"]["exported"]


def test_it_begins_anew_where_a_person_says_so(scene: Scene, backup: Document) -> None:
    scene.begin(spec=SHORT)
    scene.change({"metadata": {"annotations": {ADOPT: "none"}}})
    scene.operator.start()
    status = scene.await_end()
    assert status["folder"] != backup["status"]["folder"]
    assert status["trials"]["succeeded"] == 2
