"""A stand-in for scheduler and kubelet: plays every pod of a cluster by patching its status.

What a pod does is a script, an async function of the pod (`scripts.py` has ready ones). A pod that
is deleted gets SIGTERM and its grace, then it is finalised, as a kubelet would.
"""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Container
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from tests.cluster.api import Api, Document
from tests.cluster.log_server import LogServer
from tests.cluster.played_pod import PlayedPod
from tests.cluster.pod_calls import PodCalls

Script = Callable[[PlayedPod], Awaitable[None]]
Behaviour = Callable[[PlayedPod], Script]
STORE_THREADS = 16
SIGTERM_EXIT = 143


class PodPlayer:
    """Plays the pods of a cluster while it is open, but those of abandoned namespaces.

    Attributes:
        played: every pod that was begun, in order.
        errors: what went wrong in scripts; closing raises the first.
    """

    def __init__(
        self, api: Api, behaviour: Behaviour, abandoned: Container[str] = frozenset()
    ) -> None:
        self.behaviour = behaviour
        self.played: list[PlayedPod] = []
        self.errors: list[BaseException] = []
        self._api = api
        self._abandoned = abandoned
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._pods: dict[str, PlayedPod] = {}
        self._attempts: Counter[tuple[str, int]] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="pods", daemon=True)
        self._main: asyncio.Task[None] | None = None

    def __enter__(self) -> "PodPlayer":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(lambda: self._main and self._main.cancel())
        self._thread.join(30)
        if self.errors and error is None:
            raise self.errors[0]

    def of(self, job: str) -> list[PlayedPod]:
        """The pods that a Job has had, in order."""
        return [pod for pod in self.played if pod.job == job]

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        with ThreadPoolExecutor(STORE_THREADS) as threads:
            self._loop.set_default_executor(threads)
            self._main = self._loop.create_task(self._play())
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._main)
        self._loop.close()

    async def _play(self) -> None:
        calls = PodCalls(self._api)
        logs = LogServer(self._api, lambda: self.played)
        try:
            await logs.start(calls)
            async for kind, document in calls.pods():
                if kind == "RELISTED":
                    await self._relisted(document, calls)
                else:
                    self._changed(kind, document, calls)
        except Exception as error:  # noqa: BLE001 - told to the test's own thread
            self.errors.append(error)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            await logs.stop()
            await calls.close()

    async def _relisted(self, pods: dict[str, Document], calls: PodCalls) -> None:
        for uid in [uid for uid in self._pods if uid not in pods]:
            self._gone(uid)
        for document in sorted(pods.values(), key=lambda pod: pod["metadata"]["creationTimestamp"]):
            self._changed("ADDED", document, calls)

    def _changed(self, kind: str, document: Document, calls: PodCalls) -> None:
        uid = document["metadata"]["uid"]
        if kind == "DELETED":
            self._gone(uid)
            return
        pod = self._pods.get(uid)
        if pod is None:
            pod = self._pods[uid] = PlayedPod(document, self._number(document), calls)
            pod.ended = document.get("status", {}).get("phase") in ("Succeeded", "Failed")
            left = pod.ended or pod.namespace in self._abandoned
            if not left and "deletionTimestamp" not in document["metadata"]:
                self.played.append(pod)
                self._begin(uid, lambda: self.behaviour(pod)(pod))
        if "deletionTimestamp" in document["metadata"] and not pod.stopping:
            pod.stopping = True
            script = self._tasks.pop(uid, None)
            self._begin(uid, lambda: self._finalise(pod, document, script))

    def _number(self, document: Document) -> int:
        labels = document["metadata"].get("labels", {})
        index = int(labels.get("batch.kubernetes.io/job-completion-index", "0"))
        job = labels.get("batch.kubernetes.io/controller-uid", document["metadata"]["uid"])
        self._attempts[job, index] += 1
        return self._attempts[job, index]

    def _begin(self, uid: str, script: Callable[[], Awaitable[None]]) -> None:
        async def watched() -> None:
            try:
                await script()
            except Exception as error:  # noqa: BLE001 - told to the test's own thread
                self.errors.append(error)

        self._tasks[uid] = self._loop.create_task(watched())

    def _gone(self, uid: str) -> None:
        self._pods.pop(uid, None)
        task = self._tasks.pop(uid, None)
        if task and not task.done():
            task.cancel()

    async def _finalise(
        self, pod: PlayedPod, document: Document, script: asyncio.Task[None] | None
    ) -> None:
        if script and not script.done():
            pod.grace = document["metadata"].get("deletionGracePeriodSeconds", 0)
            script.cancel()
            await asyncio.wait([script])
        if not pod.ended:
            await pod.end(SIGTERM_EXIT if pod.exit_code is None else pod.exit_code)
        await pod.calls.delete(document)
