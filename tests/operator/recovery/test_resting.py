"""Nothing is kept or read of a search that is over, until somebody changes it."""

import pytest

from detnas_operator.cluster import KubernetesClient
from detnas_operator.cluster.cache import ClusterCache, SearchKey
from detnas_operator.cluster.connection import connect
from detnas_operator.configuration.settings import OperatorSettings
from detnas_operator.reconcile.reconciler import Reconciler
from detnas_operator.telemetry.metrics import Metrics
from tests.cluster.waiting import eventually
from tests.operator.recovery.scene import SHORT, Scene, Turns


class Passes:
    """Passes over the search ``one`` made in this process, as after a restart of the operator."""

    def __init__(self, scene: Scene) -> None:
        settings = OperatorSettings.model_validate(scene.operator.settings)
        self._key, self._cache = SearchKey(scene.namespace, "one"), ClusterCache()
        self._client = KubernetesClient(connect(2))
        self._reconciler = Reconciler(settings, self._client, self._cache, Metrics())
        self._scene = scene

    def make(self) -> int:
        """Make one over the search and its Jobs as they are; return the requests to S3."""
        before = self._requests()
        searches = self._client.snapshot("detnassearches", self._key.namespace)
        jobs = self._client.snapshot("jobs", self._key.namespace)
        self._cache.replace_all(self._key.namespace, searches, jobs)
        self._reconciler.reconcile(self._key)
        return self._requests() - before

    def come_to_rest(self) -> int:
        """Make passes until nothing is kept of the search; return the requests to S3.

        Where the last operator stopped before it had told all, the first pass tells it, and the
        search is kept until that has lasted.
        """
        before = self._requests()
        eventually(lambda: self.make() == 0 and not self.keeps_search())
        return self._requests() - before

    def keeps_search(self) -> bool:
        """Whether the reconciler holds anything of the search in memory."""
        return self._key in self._reconciler._memories

    def _requests(self) -> int:
        return sum(call.server == "s3" for call in self._scene.journal.calls)


@pytest.fixture
def ended(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A search that has succeeded; the operator has stopped."""
    scene.play(Turns(scene.trainer, last=1))
    scene.begin(spec=SHORT)
    scene.operator.start()
    scene.await_end()
    scene.await_rest()
    scene.operator.stop()
    monkeypatch.setenv("KUBECONFIG", str(scene.operator.folder / "kubeconfig"))
    for name, value in scene.installation.environment.items():
        monkeypatch.setenv(name, value)
    return scene


def test_a_search_that_is_over_is_read_once(ended: Scene) -> None:
    passes = Passes(ended)
    first, until_rest = passes.make(), passes.come_to_rest()
    status, later = ended.status(), [passes.make() for _ in range(3)]
    print(f"requests to S3: first pass {first}, until rest {until_rest}, later ones {later}")
    assert first > 0
    assert until_rest == 0
    assert later == [0, 0, 0]
    assert not passes.keeps_search()
    assert ended.status() == status


def test_what_its_user_changes_is_seen(ended: Scene) -> None:
    passes = Passes(ended)
    passes.come_to_rest()
    ended.change({"spec": {"storage": {"onDelete": "Delete"}}})
    passes.make()
    assert ended.resource()["metadata"]["finalizers"] == ["detnas.dev/delete-data"]
    ended.change({"metadata": {"finalizers": None}})
    passes.make()
    assert ended.resource()["metadata"]["finalizers"] == ["detnas.dev/delete-data"]
    ended.change({"spec": {"search": {"trials": 3}}})
    passes.make()
    assert "one-t0002" in ended.jobs()
    assert passes.keeps_search()


def test_a_job_that_could_not_be_let_go_is_not_left_behind(ended: Scene) -> None:
    """Kubernetes deletes a Job only once its time to live is set."""
    path = f"apis/batch/v1/namespaces/{ended.namespace}/jobs/one-base"
    passes = Passes(ended)
    passes.come_to_rest()
    never = {"spec": {"ttlSecondsAfterFinished": None}}
    ended.cluster.api.request("PATCH", path, never, content_type="application/merge-patch+json")
    assert passes.make() > 0
    assert ended.jobs()["one-base"]["spec"]["ttlSecondsAfterFinished"] == 3600
    passes.come_to_rest()
