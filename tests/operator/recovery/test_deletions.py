"""A search being deleted says what holds it up, stops its Jobs, and keeps what it should."""

import asyncio
import threading
from datetime import timedelta

import pytest

from detnas_operator.cluster import KubernetesClient
from detnas_operator.cluster.cache import ClusterCache, SearchKey
from detnas_operator.cluster.connection import connect
from detnas_operator.configuration.settings import OperatorSettings
from detnas_operator.queue.work_queue import Requeue
from detnas_operator.reconcile import deletion
from detnas_operator.reconcile.reconciler import Reconciler
from detnas_operator.telemetry.metrics import Metrics
from tests.cluster.api import SEARCHES
from tests.cluster.played_pod import PlayedPod
from tests.cluster.pods import Script
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


@pytest.mark.usefixtures("impatient")
def test_a_pod_that_does_not_stop_is_named_and_keeps_the_data(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = LostNode(scene)
    scene.play(lost)
    scene.begin(spec={**SHORT, "storage": {"onDelete": "Delete"}, "jobs": SHORT_GRACE})
    scene.operator.start()
    scene.await_running("one-base")
    folder = str(scene.status()["folder"].removeprefix(f"{root(scene)}/"))
    scene.operator.stop()
    try:
        scene.cluster.api.delete(SEARCHES, scene.namespace, "one")
        passes = Passes(scene, monkeypatch)
        told = eventually(lambda: passes.condition("Degraded", "PodsStopping"))
        (pod,) = scene.live_pods()
        assert f"pod {pod['metadata']['name']} on node {pod['spec']['nodeName']}" in told["message"]
        assert "kubectl delete pod" in told["message"]
        assert scene.trainer.store(root(scene)).get(f"{folder}/search.json")
    finally:
        lost.is_gone.set()
    eventually(lambda: passes.make() is None)
    assert is_gone(scene)
    assert not list(scene.trainer.store(root(scene)).list(f"{folder}/"))


SHORT_GRACE = {"terminationGracePeriodSeconds": 1}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let passes of this process say at once what else they say after minutes."""
    monkeypatch.setattr(deletion, "PATIENCE", timedelta(0))


class LostNode:
    """Where the base is trained for ever: its pod stops once somebody knows that the node is."""

    def __init__(self, scene: Scene) -> None:
        self.is_gone = threading.Event()
        self._turns = Turns(scene.trainer, last=1, may_end=lambda pod: pod.job != "one-base")

    def __call__(self, pod: PlayedPod) -> Script:
        """The script of a pod."""
        return self._stays if pod.job == "one-base" else self._turns(pod)

    async def _stays(self, pod: PlayedPod) -> None:
        try:
            await self._turns(pod)(pod)
        finally:
            await asyncio.to_thread(self.is_gone.wait)


class Passes:
    """Passes over the search ``one``, made in this process as the operator makes them."""

    def __init__(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KUBECONFIG", str(scene.operator.folder / "kubeconfig"))
        for name, value in scene.installation.environment.items():
            monkeypatch.setenv(name, value)
        settings = OperatorSettings.model_validate(scene.operator.settings)
        self._key, self._cache = SearchKey(scene.namespace, "one"), ClusterCache()
        self._client = KubernetesClient(connect(2))
        self._reconciler = Reconciler(settings, self._client, self._cache, Metrics())
        self._scene = scene

    def make(self) -> Requeue | None:
        """Make one over the search as it is now; None if it is gone."""
        search = self._client.get("detnassearches", *self._key)
        if search is None:
            return None
        self._cache.put_search(search)
        return self._reconciler.reconcile(self._key)

    def condition(self, kind: str, reason: str) -> dict[str, str]:
        """Make one; return the search's condition, if it has this reason then."""
        self.make()
        condition = self._scene.condition(kind)
        return condition if condition.get("reason") == reason else {}
