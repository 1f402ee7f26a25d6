"""`helm upgrade` and `helm rollback` while a search runs: it goes on as if nothing happened."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from detnas.records.results import PrepareResult
from detnas.store import Store
from tests.cluster.api import Document
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.fixtures import make_namespace
from tests.cluster.installation import CHART, Installation, install, search_definition
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.played_pod import PlayedPod
from tests.cluster.pods import PodPlayer
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.earlier_version import Earlier
from tests.operator.recovery.scene import SETTINGS, SHORT, JobsSeen, Scene, Turns
from tests.seaweed import S3Server

SEARCH = {"trials": 4, "parallelism": 2, "topK": 2, "warmupTrials": 1, "seed": 3}
FIRST, LAST = ("one-t0000", "one-t0001"), ("one-t0002", "one-t0003")
IMAGE = "registry.test/detnas-trainer"


class EarlierTrainer(PretendedTrainer):
    """Writes no results that the earlier version did not know."""

    def answer(self, store: Store, request: Any, folder: Path) -> Any:
        result = super().answer(store, request, folder)
        if isinstance(result, PrepareResult):
            update = {"files": {}, "weights": "", "warnings": ()}
            return result.model_copy(update=update)
        return result


@dataclass
class Release:
    """A release of the chart in a cluster of its own: one version at a time."""

    scene: Scene
    earlier: Earlier
    server: S3Server
    folder: Path
    may_end: set[str] = field(default_factory=set)

    def put(self, chart: Path, tag: str) -> None:
        """Bring a version of the chart, as Helm would, and start its operator."""
        scene, before = self.scene, self.scene.installation
        scene.operator.stop()
        cluster = scene.cluster
        cluster.api.apply(search_definition(cluster.binaries["helm"], chart))
        installed = installation(cluster, self.server, scene.namespace, chart, tag, before)
        scene.installation = installed
        scene.operator = self.operator(installed, chart)
        scene.operator.start()

    def operator(self, installed: Installation, chart: Path) -> OperatorProcess:
        """The operator of a version of the chart."""
        if chart == CHART:
            return OperatorProcess(installed, self.folder / "now", settings=SETTINGS)
        environment = {**installed.environment, "PYTHONPATH": self.earlier.python_path}
        installed = replace(installed, environment=environment)
        return OperatorProcess(installed, self.folder / "earlier", settings=SETTINGS)

    def kill(self) -> None:
        """Kill the operator that runs."""
        self.scene.operator.kill()

    def may_pod_end(self, pod: PlayedPod) -> bool:
        """Whether a pod's work may end."""
        return "-t" not in pod.job or pod.job in self.may_end

    def let_end(self, *jobs: str) -> None:
        """Let these Jobs, and all that are no trials, come to their end."""
        self.may_end.update(jobs)

    def images(self) -> set[str]:
        """Of all Jobs that are there."""
        templates = (job["spec"]["template"]["spec"] for job in self.scene.jobs().values())
        return {spec["containers"][0]["image"] for spec in templates}


def installation(
    cluster: ControlPlane,
    server: S3Server,
    tenant: str,
    chart: Path,
    tag: str,
    before: Installation | None = None,
) -> Installation:
    """Render and apply a version of the chart, whose trainer image has this tag."""
    images = {
        "image": {"repository": "registry.test/detnas-operator"},
        "trainer": {"image": {"repository": IMAGE, "tag": tag}},
    }
    return install(cluster, server, [tenant], images, chart=chart, upgraded=before)


@pytest.fixture
def release(
    earlier: Earlier,
    kubernetes_programs: dict[str, Path],
    s3_server: S3Server,
    tmp_path: Path,
) -> Iterator[Release]:
    """The earlier version, installed and at work, in a cluster that knows only its definition."""
    plane = ControlPlane(tmp_path / "cluster", kubernetes_programs)
    with contextlib.ExitStack() as stack:
        stack.callback(plane.stop)
        plane.start([search_definition(kubernetes_programs["helm"], earlier.chart)])
        yield _begun(plane, earlier, s3_server, tmp_path, stack)


def _begun(
    plane: ControlPlane,
    earlier: Earlier,
    server: S3Server,
    folder: Path,
    stack: contextlib.ExitStack,
) -> Release:
    namespace = make_namespace(plane)
    installed = installation(plane, server, namespace, earlier.chart, "1")
    proxy = FaultProxy(plane.api.server, plane.api.ca)  # the journal only: nothing goes through it

    def play(behaviour: Callable[[PlayedPod], Any]) -> PodPlayer:
        return stack.enter_context(PodPlayer(plane.api, behaviour, plane.abandoned))

    trainer = EarlierTrainer(server)
    scene = Scene(
        cluster=plane,
        installation=installed,
        operator=OperatorProcess(installed, folder / "none"),
        api=proxy,
        s3=proxy,
        journal=proxy.journal,
        trainer=trainer,
        play=play,
        namespace=namespace,
    )
    made = Release(scene, earlier, server, folder)
    stack.callback(made.kill)
    scene.play(Turns(trainer, 3, may_end=made.may_pod_end))
    made.put(earlier.chart, "1")
    return made


def check_end(release: Release, seen: JobsSeen) -> None:
    """Check that the search succeeded and no Job of it was made twice."""
    status: Document = release.scene.await_end()
    assert status["trials"]["succeeded"] == 4
    assert status["image"] == f"{IMAGE}:1"
    assert release.images() == {f"{IMAGE}:1"}
    trials = {name: len(uids) for (_, name), uids in seen.uids.items()}
    assert set(trials) >= {*FIRST, *LAST}
    assert set(trials.values()) == {1}
    assert release.scene.condition("Degraded")["status"] == "False"


@pytest.mark.slow
def test_a_search_goes_on_over_an_upgrade(release: Release) -> None:
    scene = release.scene
    with JobsSeen(scene.cluster, scene.namespace) as seen:
        scene.begin(spec={**SHORT, "search": SEARCH})
        scene.await_running(*FIRST)
        release.put(CHART, "2")
        scene.await_running(*FIRST)
        release.let_end(*FIRST, *LAST)
        check_end(release, seen)


@pytest.mark.slow
def test_a_search_goes_on_over_an_upgrade_and_a_rollback(release: Release) -> None:
    scene = release.scene
    with JobsSeen(scene.cluster, scene.namespace) as seen:
        scene.begin(spec={**SHORT, "search": SEARCH})
        scene.await_running(*FIRST)
        release.put(CHART, "2")
        release.let_end(*FIRST)
        scene.await_running(*LAST)
        release.put(release.earlier.chart, "1")
        release.let_end(*LAST)
        check_end(release, seen)
