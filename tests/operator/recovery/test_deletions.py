"""A search being deleted says what holds it up, stops its Jobs, and keeps what it should."""

from tests.cluster.api import SEARCHES
from tests.cluster.waiting import eventually
from tests.operator.recovery.scene import SHORT, Scene, Turns

FINALIZER = "detnas.dev/delete-data"
FOREIGN = "example.org/backup"


def begun(scene: Scene, on_delete: str) -> str:
    """Begin a search whose base is trained for ever; return the key of its folder."""
    scene.play(Turns(scene.trainer, last=1, may_end=lambda pod: pod.job != "one-base"))
    scene.begin(spec={**SHORT, "storage": {"onDelete": on_delete}})
    scene.operator.start()
    scene.await_running("one-base")
    return str(scene.status()["folder"].removeprefix(f"{root(scene)}/"))


def root(scene: Scene) -> str:
    return str(scene.installation.settings["storage"]["allowed"][0])


def is_gone(scene: Scene) -> bool:
    return scene.cluster.api.find(SEARCHES, scene.namespace, "one") is None


def test_a_store_that_is_away_is_told_and_the_data_goes_once_it_is_back(scene: Scene) -> None:
    folder = begun(scene, "Delete")
    scene.s3.go_down()
    scene.cluster.api.delete(SEARCHES, scene.namespace, "one")
    assert scene.await_condition("Degraded", "True")["reason"] == "StoreUnavailable"
    eventually(lambda: "one-base" not in scene.jobs())
    scene.s3.come_up()
    eventually(lambda: is_gone(scene))
    assert not list(scene.trainer.store(root(scene)).list(f"{folder}/"))


def test_data_stays_if_that_is_the_last_wish(scene: Scene) -> None:
    folder = begun(scene, "Delete")
    scene.operator.stop()
    scene.change({"spec": {"storage": {"onDelete": "Retain"}}})
    scene.cluster.api.delete(SEARCHES, scene.namespace, "one")
    assert scene.resource()["metadata"]["finalizers"] == [FINALIZER]
    scene.operator.start()
    eventually(lambda: is_gone(scene))
    assert scene.trainer.store(root(scene)).get(f"{folder}/search.json")


def test_jobs_stop_although_somebody_elses_finalizer_holds_the_search(scene: Scene) -> None:
    begun(scene, "Retain")
    scene.change({"metadata": {"finalizers": [FOREIGN]}})
    scene.cluster.api.delete(SEARCHES, scene.namespace, "one")
    eventually(lambda: "one-base" not in scene.jobs())
    assert scene.resource()["metadata"]["finalizers"] == [FOREIGN]
    scene.change({"metadata": {"finalizers": None}})
    eventually(lambda: is_gone(scene))
