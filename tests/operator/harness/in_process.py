"""Parts of the operator in the tests' process: passes over one search, and a controller."""

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from detnas_operator.cluster import KubernetesClient
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.connection import connect
from detnas_operator.cluster.searches import SearchKey
from detnas_operator.configuration.settings import OperatorSettings
from detnas_operator.controller.controller import Controller
from detnas_operator.queue.schedule import Requeue
from detnas_operator.reconcile.reconciler import Reconciler
from detnas_operator.telemetry.metrics import Metrics
from tests.cluster.api import SEARCHES, Api
from tests.cluster.waiting import eventually
from tests.operator.harness.harness import ProxiedHarness
from tests.operator.harness.search import Search
from tests.ports import free_ports


class InProcessReconciler:
    """Reconciles a search whose operator has stopped, pass by pass."""

    def __init__(
        self, harness: ProxiedHarness, search: Search, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KUBECONFIG", str(harness.operator.folder / "kubeconfig"))
        for name, value in harness.installation.environment.items():
            monkeypatch.setenv(name, value)
        settings = OperatorSettings.model_validate(harness.operator.settings)
        self._key, self._cache = SearchKey(search.namespace, search.name), ClusterCache()
        self._client = KubernetesClient(connect(2))
        self._reconciler = Reconciler(settings, self._client, self._cache, Metrics())
        self._journal = harness.journal

    def reconcile(self) -> Requeue | None:
        """Make a pass over the search and its Jobs as they are; None if the search is gone."""
        searches = self._client.snapshot("detnassearches", self._key.namespace)
        jobs = self._client.snapshot("jobs", self._key.namespace)
        self._cache.replace_all(self._key.namespace, searches, jobs)
        if self._cache.search(self._key) is None:
            return None
        return self._reconciler.reconcile(self._key)

    def store_requests(self) -> int:
        """Make a pass; return how many requests to S3 it took."""
        before = self._count()
        self.reconcile()
        return self._count() - before

    def until_idle(self) -> int:
        """Make passes until nothing is kept of the search; return the requests to S3.

        If the operator stopped before it had published all, the first pass does, and the search is
        kept in memory until that has lasted.
        """
        before = self._count()
        eventually(lambda: self.store_requests() == 0 and not self.keeps_search())
        return self._count() - before

    def keeps_search(self) -> bool:
        """Whether the reconciler holds anything of the search in memory."""
        return self._reconciler.holds(self._key)

    def _count(self) -> int:
        return sum(call.server == "s3" for call in self._journal.calls)


@dataclass(frozen=True, slots=True)
class Pass:
    """What a pass saw: the search's version, whether it is suspended, and its Jobs' names."""

    key: SearchKey
    version: str
    suspend: bool
    jobs: tuple[str, ...]
    at: float


@dataclass
class RecordingReconciler:
    """Records what the cache holds at each pass, and then runs the action of a test."""

    cache: ClusterCache
    act: Callable[[SearchKey], Requeue] = lambda _: Requeue()
    passes: list[Pass] = field(default_factory=list)
    forgotten: list[SearchKey] = field(default_factory=list)

    def reconcile(self, key: SearchKey) -> Requeue:
        search = self.cache.search(key)
        if search is None:
            self.forgotten.append(key)
            return Requeue(gone=True)
        names = tuple(self.cache.jobs(key, search.uid))
        suspend = bool(search.spec.get("suspend"))
        version = str(search.version)
        self.passes.append(Pass(key, version, suspend, names, time.perf_counter()))
        return self.act(key)


@dataclass(frozen=True)
class RunningController:
    """A controller at work.

    Attributes:
        admin: changes searches, as users do.
        client: the operator's, with the rights that the chart gives.
    """

    admin: Api
    reconciler: RecordingReconciler
    cache: ClusterCache
    client: KubernetesClient
    health_port: int

    def passes(self, key: SearchKey) -> list[Pass]:
        """All passes over a search."""
        return [one for one in self.reconciler.passes if one.key == key]

    def passes_at(self, key: SearchKey, version: str) -> list[Pass]:
        """The passes that saw this very version of a search."""
        return [one for one in self.passes(key) if one.version == version]

    def suspend(self, key: SearchKey, value: bool = True) -> str:
        """Change a search and return its new version."""
        patch = {"spec": {"suspend": value}}
        answer = self.admin.patch(SEARCHES, key.namespace, key.name, patch)
        return str(answer["metadata"]["resourceVersion"])

    def until_watching(self, key: SearchKey) -> None:
        """Wait until changes of a search lead to passes which no list can have caused."""
        eventually(lambda: self.passes(key))
        for value in (True, False):
            eventually(partial(self.passes_at, key, self.suspend(key, value)))

    def health(self) -> tuple[int, Any]:
        """What /healthz answers: status and content; 0 if it does not."""
        try:
            url = f"http://127.0.0.1:{self.health_port}/healthz"
            with urllib.request.urlopen(url, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, None
        except OSError:
            return 0, None


@contextmanager
def running_controller(
    client: KubernetesClient, admin: Api, settings: dict[str, Any]
) -> Iterator[RunningController]:
    """Run a controller for a while; its ports are its own."""
    health, metrics = free_ports(2)
    ports = {"health": {"port": health}, "metrics": {"port": metrics}}
    configured = OperatorSettings.model_validate({**settings, **ports})
    cache = ClusterCache()
    reconciler = RecordingReconciler(cache)
    with _in_thread(Controller(configured, client, cache, Metrics(), reconciler.reconcile)):
        yield RunningController(admin, reconciler, cache, client, health)


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
