"""A frame in a thread of the tests, with the chart's rights and a reconciler that only notes."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from detnas_operator.cluster import KubernetesClient
from detnas_operator.cluster.cache import ClusterCache, SearchKey
from detnas_operator.cluster.connection import Connection, connect
from detnas_operator.configuration.settings import OperatorSettings
from detnas_operator.controller.controller import Controller
from detnas_operator.queue.work_queue import Requeue
from detnas_operator.telemetry.metrics import Metrics
from tests.cluster.api import Api
from tests.cluster.control_plane import ControlPlane
from tests.cluster.installation import Installation, install
from tests.ports import free_ports
from tests.seaweed import S3Server


@dataclass(frozen=True, slots=True)
class Pass:
    """A pass as the reconciler saw it: the search's version, and its Jobs' names."""

    key: SearchKey
    version: str
    suspend: bool
    jobs: tuple[str, ...]
    at: float


@dataclass
class Notes:
    """A reconciler that only notes what the cache holds, or does what it is told."""

    cache: ClusterCache
    act: Callable[[SearchKey], Requeue] = lambda _: Requeue()
    passes: list[Pass] = field(default_factory=list)
    forgotten: list[SearchKey] = field(default_factory=list)

    def reconcile(self, key: SearchKey) -> Requeue:
        search = self.cache.search(key)
        assert search is not None
        metadata, jobs = search["metadata"], self.cache.jobs(key, search["metadata"]["uid"])
        names = tuple(job["metadata"]["name"] for job in jobs)
        suspend = bool(search["spec"].get("suspend"))
        version = metadata["resourceVersion"]
        self.passes.append(Pass(key, version, suspend, names, time.perf_counter()))
        return self.act(key)

    def forget(self, key: SearchKey) -> None:
        self.forgotten.append(key)

    def of(self, key: SearchKey) -> list[Pass]:
        return [one for one in self.passes if one.key == key]


@dataclass(frozen=True)
class Running:
    """A frame at work."""

    notes: Notes
    cache: ClusterCache
    client: KubernetesClient
    health: str


@pytest.fixture
def installation(
    request: pytest.FixtureRequest, cluster: ControlPlane, namespace: str, s3_server: S3Server
) -> Installation:
    """A release of the chart that watches the test's namespace; parameters are its values."""
    return install(cluster, s3_server, [namespace], getattr(request, "param", None))


@pytest.fixture
def connected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Api], Connection]:
    """Connect as a caller."""

    def connection(api: Api) -> Connection:
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path / "kubeconfig")))
        return connect(4)

    return connection


@pytest.fixture
def client(installation: Installation, connected: Callable[[Api], Connection]) -> KubernetesClient:
    """The operator's client, with exactly the rights that the chart gives."""
    return KubernetesClient(connected(installation.api))


Start = Callable[..., AbstractContextManager[Running]]


@pytest.fixture
def frame(installation: Installation, connected: Callable[[Api], Connection]) -> Start:
    """Start a frame, through ``server`` if not the API server's own address."""

    @contextmanager
    def started(server: str = "", **settings: Any) -> Iterator[Running]:
        api = installation.api
        client = KubernetesClient(connected(Api(server or api.server, api.token, api.ca)))
        health, metrics_port = free_ports(2)
        ports = {"health": {"port": health}, "metrics": {"port": metrics_port}}
        configured = OperatorSettings.model_validate({**installation.settings, **ports, **settings})
        cache = ClusterCache()
        notes = Notes(cache)
        made = Controller(configured, client, cache, Metrics(), notes)
        with _in_thread(made):
            yield Running(notes, cache, client, f"http://127.0.0.1:{health}/healthz")

    return started


@contextmanager
def _in_thread(controller: Controller) -> Iterator[None]:
    loop, stop, ended = asyncio.new_event_loop(), asyncio.Event(), []
    thread = threading.Thread(
        target=lambda: ended.append(loop.run_until_complete(controller.run(stop)))
    )
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
        assert ended == [True]
        loop.close()
