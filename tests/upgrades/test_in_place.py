"""`helm upgrade` and `helm rollback` while a search runs: it continues undisturbed."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from detnas.records.results import PrepareResult
from detnas.schema import added_in
from detnas.store import Store
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import make_namespace
from tests.cluster.installation import CHART, Installation, install, search_definition
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.played_pod import PlayedPod
from tests.cluster.pods import PodPlayer
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.scripts import Scripts, succeeds
from tests.earlier_version import BEFORE_SESSIONS, REVISION, Earlier
from tests.operator.harness.behaviours import InTurn
from tests.operator.harness.checks import JobWatch
from tests.operator.harness.harness import Harness
from tests.operator.harness.search import Search
from tests.seaweed import S3Server

FIRST, LAST = ("-t0000", "-t0001"), ("-t0002", "-t0003")
IMAGE = "registry.test/detnas-trainer"
SETTINGS = {"resyncSeconds": 10, "progressSeconds": 2}


class EarlierTrainer(PretendedTrainer):
    """Writes no results that the earlier version did not know."""

    def answer(self, store: Store, request: Any, folder: Path) -> Any:
        result = super().answer(store, request, folder)
        fields = type(result).model_fields.items()
        update = {name: field.default for name, field in fields if added_in(field)}
        if isinstance(result, PrepareResult):
            update |= {"files": {}, "weights": "", "warnings": ()}
        return result.model_copy(update=update)


@dataclass
class Release:
    """A release of the chart in a cluster of its own, one version after the other."""

    harness: Harness
    search: Search
    earlier: Earlier
    server: S3Server
    folder: Path
    may_end: set[str] = field(default_factory=set)

    def put(self, chart: Path, tag: str) -> None:
        """Bring a version of the chart, as Helm would, and start its operator."""
        harness, before = self.harness, self.harness.installation
        harness.operator.stop()
        cluster = harness.cluster
        cluster.api.apply(search_definition(cluster.binaries["helm"], chart))
        installed = installation(cluster, self.server, self.search.namespace, chart, tag, before)
        harness.installation = installed
        harness.operator = self._operator(installed, chart)
        harness.operator.start()

    def _operator(self, installed: Installation, chart: Path) -> OperatorProcess:
        """The operator of a version of the chart."""
        if chart == CHART:
            return OperatorProcess(installed, self.folder / "now", settings=SETTINGS)
        environment = {**installed.environment, "PYTHONPATH": self.earlier.python_path}
        installed = replace(installed, environment=environment)
        return OperatorProcess(installed, self.folder / "earlier", settings=SETTINGS)

    def kill(self) -> None:
        """Kill the operator that runs."""
        self.harness.operator.kill()

    def may_pod_end(self, pod: PlayedPod) -> bool:
        """Whether a pod's work may end."""
        return "-t" not in pod.job or pod.job in self.may_end

    def let_end(self, *trials: str) -> None:
        """Let these trials come to their end."""
        self.may_end |= {self.search.name + trial for trial in trials}

    def images(self) -> set[str]:
        """Of all Jobs that exist."""
        templates = (job["spec"]["template"]["spec"] for job in self.search.jobs().values())
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
    trainer = EarlierTrainer(s3_server)
    scripts = Scripts(succeeds(work=trainer))
    with contextlib.ExitStack() as stack:
        stack.callback(plane.stop)
        plane.start([search_definition(kubernetes_programs["helm"], earlier.chart)])
        namespace = make_namespace(plane)
        installed = installation(plane, s3_server, namespace, earlier.chart, "1")
        operator = OperatorProcess(installed, tmp_path / "none")
        player = stack.enter_context(PodPlayer(plane.api, scripts, plane.abandoned))
        harness = Harness(plane, installed, operator, player, scripts, trainer, [namespace])
        made = Release(harness, harness.search("one", trials=4), earlier, s3_server, tmp_path)
        stack.callback(made.kill)
        harness.play(InTurn(trainer, 3, may_end=made.may_pod_end))
        made.put(earlier.chart, "1")
        yield made


def check_end(release: Release, seen: JobWatch) -> None:
    """Check that the search succeeded and no Job of it was made twice."""
    search = release.search.until_phase("Succeeded", 180)
    assert search.trials["succeeded"] == 4
    assert search.status["image"] == f"{IMAGE}:1"
    assert release.images() == {f"{IMAGE}:1"}
    made = {name: len(uids) for name, uids in seen.of(search).items()}
    assert set(made) >= {search.name + trial for trial in (*FIRST, *LAST)}
    assert set(made.values()) == {1}
    assert search.condition("Degraded")["status"] == "False"


@pytest.mark.slow
@pytest.mark.parametrize("earlier", [REVISION, BEFORE_SESSIONS], indirect=True)
def test_search_continues_over_an_upgrade(release: Release) -> None:
    search = release.search.apply()
    with JobWatch(search) as seen:
        search.until_training(*FIRST)
        release.put(CHART, "2")
        search.until_training(*FIRST)
        release.let_end(*FIRST, *LAST)
        check_end(release, seen)


@pytest.mark.slow
def test_search_continues_over_an_upgrade_and_a_rollback(release: Release) -> None:
    search = release.search.apply()
    with JobWatch(search) as seen:
        search.until_training(*FIRST)
        release.put(CHART, "2")
        release.let_end(*FIRST)
        search.until_training(*LAST)
        release.put(release.earlier.chart, "1")
        release.let_end(*LAST)
        check_end(release, seen)
