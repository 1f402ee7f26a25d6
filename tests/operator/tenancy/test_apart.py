"""Two searches of one name, with equal pools, in two namespaces: nothing of theirs ever meets."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.cluster.admission import restrict
from tests.cluster.api import EVENTS, JOBS, PODS, Document
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.faults import Journal
from tests.cluster.installation import Installation, install
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.pods import Behaviour, PodPlayer
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.scripts import Scripts, succeeds
from tests.operator.tenancy.scene import (
    apply,
    keys_asked_for,
    status,
    wait_until_over,
)
from tests.seaweed import S3Server

NAME = "same"


@dataclass(frozen=True)
class Ended:
    """Two searches that ran at the same time, and all that was asked for meanwhile.

    Attributes:
        spaces: their namespaces.
        pods: of each of them, as the API server admitted them.
        journal: of the operator's calls.
    """

    spaces: tuple[str, str]
    pods: dict[str, list[Document]]
    journal: Journal
    installation: Installation


@pytest.fixture
def ended(
    cluster: ControlPlane,
    s3_server: S3Server,
    namespaces: Callable[[], str],
    play_pods: Callable[[Behaviour], PodPlayer],
    operators: Callable[..., OperatorProcess],
) -> Iterator[Ended]:
    spaces = (namespaces(), namespaces())
    for space in spaces:
        restrict(cluster.api, space)
    with (
        FaultProxy(cluster.api.server, cluster.api.ca) as api,
        FaultProxy(s3_server.endpoint, name="s3", journal=api.journal) as s3,
    ):
        installation = install(cluster, s3_server, spaces, endpoint=s3.url)
        played = play_pods(Scripts(succeeds(work=PretendedTrainer(s3_server)))).played
        operators(installation, server=api.url).start()
        for space in spaces:
            apply(cluster, space, NAME, trials=3, parallelism=2)
        for space in spaces:
            wait_until_over(cluster, space, NAME)
        pods = {s: [p.document for p in played if p.namespace == s] for s in spaces}
        yield Ended(spaces, pods, api.journal, installation)


@pytest.mark.slow
def test_objects_keys_and_pods_are_disjoint(ended: Ended, cluster: ControlPlane) -> None:
    one, other = ended.spaces
    assert [status(cluster, space, NAME)["phase"] for space in ended.spaces] == ["Succeeded"] * 2
    # The pools are equal, and yet each namespace trained its own.
    pools = [status(cluster, space, NAME)["teachers"]["pool"] for space in ended.spaces]
    assert pools[0].rpartition("/")[2] == pools[1].rpartition("/")[2]
    assert all(f"/{s}/pools/" in pool for s, pool in zip(ended.spaces, pools, strict=True))
    _check_keys(ended)
    _check_paths(ended)
    for mine, theirs in ((one, other), (other, one)):
        for kind in (JOBS, PODS, EVENTS):
            assert theirs not in str(cluster.api.list(kind, mine))
        for call in ended.journal.writes("s3"):
            if f"/{mine}/" in call.path:
                assert theirs.encode() not in call.body
        for pod in ended.pods[mine]:
            _check_pod(pod, ended.installation, mine)


def _check_keys(ended: Ended) -> None:
    root = ended.installation.settings["storage"]["default"].removeprefix("s3://")
    asked = keys_asked_for(ended.journal.calls)
    assert len(asked) > 50
    folders = [f"{root}/{s}/{kind}/" for s in ended.spaces for kind in ("searches", "pools")]
    astray = {key for key in asked if not key.startswith(tuple(folders))}
    assert astray == {f"{root}/.detnas/probe"}


def _check_paths(ended: Ended) -> None:
    paths = {call.path for call in ended.journal.calls if call.server == "api"}
    watched = {*ended.spaces, ended.installation.namespace}
    placed = {
        path.split("/namespaces/")[1].split("/")[0] for path in paths if "/namespaces/" in path
    }
    assert placed == watched
    # Nothing is asked for in all namespaces at once; reviews and discovery have none.
    wide = {path for path in paths if "/namespaces/" not in path}
    assert not [p for p in wide if p.endswith(("jobs", "pods", "detnassearches", "secrets"))]
    assert not [path for path in paths if "secrets" in path]


def _check_pod(pod: Document, installation: Installation, namespace: str) -> None:
    spec = pod["spec"]
    (tenant,) = [t for t in installation.settings["tenants"] if t["namespace"] == namespace]
    assert spec["serviceAccountName"] == tenant["serviceAccount"]
    assert spec["automountServiceAccountToken"] is False
    kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
    assert kinds == {"emptyDir", "persistentVolumeClaim"}  # no token, no host path
    (container,) = spec["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": tenant["credentialsSecret"]}}]
    assert f"/{namespace}/" in container["command"][-1]
