"""Fixtures: an operator for a module of tests or for one test, and parts of it in this process."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from detnas_operator.cli import main
from detnas_operator.cluster import KubernetesClient
from detnas_operator.cluster.connection import Connection, connect
from tests.cluster.api import Api
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.fixtures import abandon_namespace, make_namespace
from tests.cluster.installation import Installation, install
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.pods import PodPlayer
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.scripts import Scripts, succeeds
from tests.operator.harness.harness import Harness, ProxiedHarness
from tests.operator.harness.in_process import RunningController, running_controller
from tests.seaweed import S3Server

SHORT_PAUSES: Mapping[str, Any] = {"progressSeconds": 1, "resyncSeconds": 10}
MakeHarness = Callable[..., ProxiedHarness]
StartController = Callable[..., AbstractContextManager[RunningController]]


@pytest.fixture(scope="module")
def harness(
    request: pytest.FixtureRequest,
    cluster: ControlPlane,
    s3_server: S3Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Harness]:
    """One operator that runs for all tests of a module: it costs seconds, a search does not.

    The module states how many `NAMESPACES` its searches need; its `VALUES` replace the chart's,
    its `SETTINGS` what the chart configures the operator with, its `PROGRAM` the operator.
    """
    module = request.module
    namespaces = [make_namespace(cluster, "shared") for _ in range(module.NAMESPACES)]
    installation = install(cluster, s3_server, namespaces, getattr(module, "VALUES", None))
    settings = {"progressSeconds": 1, **getattr(module, "SETTINGS", {})}
    folder = tmp_path_factory.mktemp("operator")
    program = getattr(module, "PROGRAM", main)
    operator = OperatorProcess(
        installation, folder, settings=settings, forked=True, program=program
    )
    trainer = PretendedTrainer(s3_server)
    scripts = Scripts(succeeds(work=trainer))
    operator.start()
    try:
        with PodPlayer(cluster.api, scripts, cluster.abandoned) as player:
            yield Harness(
                cluster, installation, operator, player, scripts, trainer, list(namespaces)
            )
    finally:
        operator.kill()
        for namespace in (*namespaces, installation.namespace):
            abandon_namespace(cluster, namespace)


@pytest.fixture
def make_harness(
    cluster: ControlPlane,
    s3_server: S3Server,
    tmp_path: Path,
) -> Iterator[MakeHarness]:
    """Make the harness of one test, whose operator does not run yet and is behind proxies."""
    with ExitStack() as stack:

        def make(
            namespaces: list[str],
            *,
            values: Mapping[str, Any] | None = None,
            settings: Mapping[str, Any] | None = None,
            environment: Mapping[str, str] | None = None,
            trainer: PretendedTrainer | None = None,
            server: S3Server = s3_server,
            s3_proxy: type[FaultProxy] = FaultProxy,
            forked: bool = True,
        ) -> ProxiedHarness:
            api = stack.enter_context(FaultProxy(cluster.api.server, cluster.api.ca))
            s3 = s3_proxy(server.endpoint, name="s3", journal=api.journal)
            stack.enter_context(s3)
            installation = install(cluster, server, namespaces, values, endpoint=s3.url)
            more = {**installation.environment, **(environment or {})}
            installation = replace(installation, environment=more)
            operator = OperatorProcess(
                installation,
                tmp_path / "operator",
                server=api.url,
                settings={**SHORT_PAUSES, **(settings or {})},
                forked=forked,
            )
            stack.callback(operator.kill)
            trainer = trainer or PretendedTrainer(server)
            scripts = Scripts(succeeds(work=trainer))
            return ProxiedHarness(
                cluster=cluster,
                installation=installation,
                operator=operator,
                player=stack.enter_context(PodPlayer(cluster.api, scripts, cluster.abandoned)),
                scripts=scripts,
                trainer=trainer,
                namespaces=list(namespaces),
                api=api,
                s3=s3,
            )

        yield make


@pytest.fixture
def proxied(make_harness: MakeHarness, namespace: str) -> ProxiedHarness:
    """The harness of one test for searches in one namespace; see `make_harness`."""
    return make_harness([namespace])


@pytest.fixture
def installation(
    request: pytest.FixtureRequest, cluster: ControlPlane, namespace: str, s3_server: S3Server
) -> Installation:
    """A release of the chart that watches the test's namespace; parameters are its values."""
    return install(cluster, s3_server, [namespace], getattr(request, "param", None))


@pytest.fixture
def connected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Api], Connection]:
    """What connects to an API server with the account of a caller."""

    def connection(api: Api) -> Connection:
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path / "kubeconfig")))
        return connect(4)

    return connection


@pytest.fixture
def client(installation: Installation, connected: Callable[[Api], Connection]) -> KubernetesClient:
    """The operator's client, with exactly the rights that the chart gives."""
    return KubernetesClient(connected(installation.api))


@pytest.fixture
def controller(
    cluster: ControlPlane, installation: Installation, connected: Callable[[Api], Connection]
) -> StartController:
    """Start a controller, through ``server`` if not the API server's own address."""

    def start(server: str = "", **settings: Any) -> AbstractContextManager[RunningController]:
        api = installation.api
        client = KubernetesClient(connected(Api(server or api.server, api.token, api.ca)))
        return running_controller(client, cluster.api, {**installation.settings, **settings})

    return start
