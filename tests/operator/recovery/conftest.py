"""The stage of a test: see `scene.py`."""

from collections.abc import Callable, Iterator

import pytest

from tests.cluster.control_plane import ControlPlane
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.installation import install
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.pods import Behaviour, PodPlayer
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.operator.recovery.scene import SETTINGS, Scene
from tests.seaweed import S3Server


@pytest.fixture
def make_scene(
    cluster: ControlPlane,
    s3_server: S3Server,
    play_pods: Callable[[Behaviour], PodPlayer],
    operators: Callable[..., OperatorProcess],
) -> Iterator[Callable[[list[str]], Scene]]:
    """Make the scene for searches in some namespaces; one a test."""
    api = FaultProxy(cluster.api.server, cluster.api.ca)
    s3 = FaultProxy(s3_server.endpoint, name="s3", journal=api.journal)

    def make(namespaces: list[str]) -> Scene:
        installation = install(cluster, s3_server, namespaces, endpoint=s3.url)
        return Scene(
            cluster=cluster,
            installation=installation,
            operator=operators(installation, server=api.url, settings=SETTINGS),
            api=api,
            s3=s3,
            journal=api.journal,
            trainer=PretendedTrainer(s3_server),
            play=play_pods,
            namespace=namespaces[0],
        )

    with api, s3:
        yield make


@pytest.fixture
def scene(make_scene: Callable[[list[str]], Scene], namespace: str) -> Scene:
    """The scene for searches in one namespace."""
    return make_scene([namespace])
