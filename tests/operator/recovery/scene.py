"""A stage for searches that are to survive: an operator behind proxies, pods that are played."""

import asyncio
import contextlib
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import urllib3

from tests.cluster.api import JOBS, PODS, SEARCHES, ApiError, Document
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.faults import Journal
from tests.cluster.installation import Installation
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.played_pod import PlayedPod
from tests.cluster.pods import PodPlayer, Script
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.searches import manifest
from tests.cluster.waiting import eventually

_TRIAL = re.compile(r"-t(\d+)$")
POLL_SECONDS = 0.1
SHORT: Mapping[str, Any] = {
    "teachers": {"phases": [{"epochs": 1, "learningRate": "0.1"}]},
    "search": {"trials": 2, "parallelism": 2, "topK": 2, "warmupTrials": 1, "seed": 3},
    "finetune": None,
}
"""Sections of a search of five Jobs, of which two are trials."""
SETTINGS: Mapping[str, Any] = {"resyncSeconds": 10, "progressSeconds": 2}


@dataclass
class Turns:
    """Lets two trials run at a time in one order only, so that their decisions can be foretold.

    A trial ends once the next one has begun: when trial n is decided, all before n - 1 have ended
    and n - 1 is in flight.

    Attributes:
        trainer: does the jobs' work.
        last: the number of the last trial, which waits for nobody, nor does any after it.
        lost: trials whose pods end with exit code 1 and no result.
        may_end: asked again and again whether a pod's work may end.
    """

    trainer: PretendedTrainer
    last: int
    lost: frozenset[int] = frozenset()
    may_end: Callable[[PlayedPod], bool] = lambda _: True
    _begun: set[tuple[str, int]] = field(default_factory=set)

    def __call__(self, pod: PlayedPod) -> Script:
        """The script of a pod."""
        return self._work

    async def _work(self, pod: PlayedPod) -> None:
        await pod.run()
        await asyncio.to_thread(self.trainer.begin, pod)
        number = int(found[1]) if (found := _TRIAL.search(pod.job)) else None
        if number is not None:
            self._begun.add((pod.namespace, number))
        while not (self._may_end(pod, number) and await asyncio.to_thread(self.may_end, pod)):
            await asyncio.sleep(POLL_SECONDS)
        if number in self.lost:
            pod.log += "CUDA error: uncorrectable ECC error encountered\n"
            await pod.end(1)
            return
        await asyncio.to_thread(self.trainer.finish, pod)
        await pod.succeed()

    def _may_end(self, pod: PlayedPod, number: int | None) -> bool:
        if number is None or number >= self.last:
            return True
        return (pod.namespace, number + 1) in self._begun


class Door:
    """Lets no trial end before it is opened; asked by `Turns`."""

    def __init__(self) -> None:
        self._opened = threading.Event()

    def __call__(self, pod: PlayedPod) -> bool:
        """Whether a pod may end."""
        return self._opened.is_set() or "-t" not in pod.job

    def open(self) -> None:
        """Let them end."""
        self._opened.set()


@dataclass
class Scene:
    """What a test of recovery plays with.

    Attributes:
        operator: not started yet.
        api: the proxy before the API server, as the operator reaches it.
        s3: the same before the S3 server.
        journal: of both.
    """

    cluster: ControlPlane
    installation: Installation
    operator: OperatorProcess
    api: FaultProxy
    s3: FaultProxy
    journal: Journal
    trainer: PretendedTrainer
    play: Callable[[Callable[[PlayedPod], Script]], PodPlayer]
    namespace: str

    def begin(self, namespace: str = "", spec: Mapping[str, Any] | None = None) -> Document:
        """Apply a search named ``one``: two pool phases, four trials two at a time, fine-tuning.

        Args:
            spec: replaces sections of it.
        """
        sections = {"finetune": {"epochs": 1}, "limits": {"retries": 0}, **(spec or {})}
        document = manifest("one", sections, trials=4, parallelism=2)
        document["metadata"]["namespace"] = namespace or self.namespace
        return self.cluster.api.create(document)

    def resource(self, namespace: str = "") -> Document:
        """The search, as a user sees it."""
        return self.cluster.api.get(SEARCHES, namespace or self.namespace, "one")

    def status(self, namespace: str = "") -> Document:
        """Its status."""
        return self.resource(namespace).get("status", {})

    def is_told(self, pod: PlayedPod) -> bool:
        """Whether the status of a pod's search says that its Job is active."""
        active = self.status(pod.namespace).get("active", ())
        return any(job["job"] == pod.job for job in active)

    def condition(self, kind: str, namespace: str = "") -> Document:
        """One of its conditions; empty while there is none."""
        for condition in self.status(namespace).get("conditions", ()):
            if condition["type"] == kind:
                return dict(condition)
        return {}

    def jobs(self, namespace: str = "") -> dict[str, Document]:
        """The Jobs in the namespace by name."""
        found = self.cluster.api.list(JOBS, namespace or self.namespace)
        return {job["metadata"]["name"]: job for job in found}

    def live_pods(self, namespace: str = "") -> list[Document]:
        """Pods in the namespace that run or will."""
        pods = self.cluster.api.list(PODS, namespace or self.namespace)
        return [pod for pod in pods if pod["status"]["phase"] in ("Pending", "Running")]

    def change(self, patch: Document, namespace: str = "") -> Document:
        """Change the search, as a user does."""
        return self.cluster.api.patch(SEARCHES, namespace or self.namespace, "one", patch)

    def has_passed(self) -> bool:
        """Whether the operator that runs has made a pass, or finds no search to make one over."""
        passes = self.operator.figure('detnas_reconcile_seconds_count{outcome="ok"}')
        return passes > 0 or self.operator.figure("detnas_queue_keys") == 0

    def await_end(self, seconds: float = 180, namespace: str = "") -> Document:
        """Wait until the search has succeeded; return its status.

        Raises:
            AssertionError: it did not in time; with the operator's last words.
        """
        until = time.monotonic() + seconds
        while (status := self.status(namespace)).get("phase") != "Succeeded":
            assert time.monotonic() < until, f"{status}\n{self.operator.log[-6000:]}"
            time.sleep(0.1)
        return status

    def await_running(self, *jobs: str, namespace: str = "") -> None:
        """Wait until pods of these Jobs have begun their work, and the status says so."""

        def is_so() -> bool:
            active = self.status(namespace).get("active", ())
            at_work = {job["job"] for job in active if job["activity"] == "training"}
            return set(jobs) <= at_work

        eventually(is_so)

    def await_condition(self, kind: str, status: str) -> Document:
        """Wait until a condition is as it should be, and return it."""

        def found() -> Document:
            condition = self.condition(kind)
            return condition if condition.get("status") == status else {}

        return eventually(found)

    def await_rest(self, namespace: str = "") -> None:
        """Wait until what nobody waits for is done: every Job may go, the status names none."""

        def is_done() -> bool:
            specs = [job["spec"] for job in self.jobs(namespace).values()]
            expire = all("ttlSecondsAfterFinished" in spec for spec in specs)
            return expire and not self.status(namespace)["active"]

        eventually(is_done)


class JobsSeen:
    """Every Job that there was in some namespaces while this was open: UIDs by place and name."""

    def __init__(self, cluster: ControlPlane, *namespaces: str) -> None:
        self.uids: dict[tuple[str, str], set[str]] = {}
        self._cluster = cluster
        self._namespaces = namespaces
        self._over = threading.Event()

    def __enter__(self) -> "JobsSeen":
        for namespace in self._namespaces:
            threading.Thread(target=self._watch, args=(namespace,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _watch(self, namespace: str) -> None:
        while not self._over.is_set():
            with contextlib.suppress(ApiError, urllib3.exceptions.HTTPError):
                for event in self._cluster.api.watch(JOBS, namespace, timeoutSeconds="20"):
                    metadata = event["object"]["metadata"]
                    if name := metadata.get("name"):
                        self.uids.setdefault((namespace, name), set()).add(metadata["uid"])
            self._over.wait(0.1)
