"""A stage for each module of tests: an operator costs seconds to start, its searches do not."""

from collections.abc import Iterator

import pytest

from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import abandon_namespace, make_namespace
from tests.cluster.installation import install
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.pods import PodPlayer
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.scripts import Scripts, succeeds
from tests.operator.outcomes.stage import Stage
from tests.seaweed import S3Server

SETTINGS = {"progressSeconds": 1}


@pytest.fixture(scope="module")
def stage(
    request: pytest.FixtureRequest,
    cluster: ControlPlane,
    s3_server: S3Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """An operator of `ROOMS` namespaces (of the module), installed with its `VALUES` of the chart;
    `SETTINGS` replace what the chart says to the operator.
    """
    rooms = [make_namespace(cluster, "room") for _ in range(request.module.ROOMS)]
    installation = install(cluster, s3_server, rooms, getattr(request.module, "VALUES", None))
    settings = SETTINGS | getattr(request.module, "SETTINGS", {})
    folder = tmp_path_factory.mktemp("operator")
    operator = OperatorProcess(installation, folder, settings=settings, forked=True)
    trainer = PretendedTrainer(s3_server)
    scripts = Scripts(succeeds(work=trainer))
    operator.start()
    try:
        with PodPlayer(cluster.api, scripts, cluster.abandoned) as player:
            yield Stage(cluster, installation, operator, player, scripts, trainer, list(rooms))
    finally:
        operator.kill()
        for room in (*rooms, installation.namespace):
            abandon_namespace(cluster, room)
