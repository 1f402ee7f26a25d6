"""A pod that is played: what it was asked, and what can happen to it."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.cluster.api import Document
from tests.cluster.pod_calls import PodCalls

NODE = "stand-in"
TRAINER = "trainer"
ADDRESS = "127.0.0.1"


@dataclass(eq=False)
class PlayedPod:
    """One pod; scripts call its methods in the order in which things happen.

    Attributes:
        document: the pod as it was first seen.
        attempt: which of its Job's pods this is, from 1 (for its index, if the Job is indexed).
        log: what `kubectl logs` shows.
        grace: seconds that a deletion leaves it to end.
        exit_code: what its container ended with.
        ended: its last status is reported.
        stopping: it is being deleted.
    """

    document: Document
    attempt: int
    calls: PodCalls
    log: str = ""
    grace: int = 0
    exit_code: int | None = None
    ended: bool = False
    stopping: bool = False
    _started: str = ""
    _bound: bool = False
    _terminated: Document | None = None

    @property
    def name(self) -> str:
        """The pod's name."""
        return self.document["metadata"]["name"]

    @property
    def namespace(self) -> str:
        """The pod's namespace."""
        return self.document["metadata"]["namespace"]

    @property
    def labels(self) -> dict[str, str]:
        """The pod's labels."""
        return self.document["metadata"].get("labels", {})

    @property
    def job(self) -> str:
        """The name of its Job; empty without one."""
        return self.labels.get("batch.kubernetes.io/job-name", "")

    @property
    def index(self) -> int:
        """Its completion index, 0 where its Job has none."""
        return int(self.labels.get("batch.kubernetes.io/job-completion-index", "0"))

    @property
    def container(self) -> dict[str, Any]:
        """Its only container, or the trainer's where others were added."""
        containers = self.document["spec"]["containers"]
        (found,) = [one for one in containers if one["name"] == TRAINER] or containers
        return found

    @property
    def command(self) -> list[str]:
        """The words of its command."""
        return [*self.container.get("command", []), *self.container.get("args", [])]

    @property
    def uri(self) -> str:
        """The job's own folder: the trainer's last argument."""
        return self.command[-1]

    @property
    def image(self) -> str:
        """Its image, by the digest that a registry would have resolved it to."""
        named: str = self.container["image"]
        if "@" in named:
            return named
        repository = named if "/" not in named else named.rpartition(":")[0] or named
        return f"{repository}@sha256:{hashlib.sha256(named.encode()).hexdigest()}"

    async def bind(self) -> None:
        """Be assigned to the node."""
        if not self._bound and not self.document["spec"].get("nodeName"):
            await self.calls.bind(self.document, NODE)
        self._bound = True

    async def run(self) -> None:
        """Be scheduled, pull its image and run."""
        if self._started:
            return
        await self.bind()
        self._started = _now()
        ready = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
        await self._report(
            {
                "phase": "Running",
                "startTime": self._started,
                "hostIP": ADDRESS,
                "podIP": ADDRESS,
                "podIPs": [{"ip": ADDRESS}],
                "conditions": [condition(name) for name in ready],
            },
            {"running": {"startedAt": self._started}},
        )

    async def succeed(self) -> None:
        """End with exit code 0."""
        await self.end(0)

    async def end(self, code: int, reason: str = "", message: str = "") -> None:
        """End with an exit code; the reason is what a kubelet says of it, unless given."""
        await self._end(code, reason, {"phase": "Failed" if code else "Succeeded"}, message)

    async def end_trainer(self, code: int, reason: str = "") -> None:
        """End the trainer; containers that were added to the pod run on, and so does the pod."""
        self.exit_code = code
        self._terminated = self._ended(code, reason)
        unready = [
            condition(name, "False", "ContainersNotReady") for name in ("ContainersReady", "Ready")
        ]
        await self._report(
            {"phase": "Running", "conditions": unready}, {"terminated": self._terminated}
        )

    async def wait_for_init(self, state: Document, phase: str = "Pending") -> None:
        """Be on a node, and have an init container in a state; the trainer waits for it."""
        await self.bind()
        (init,) = self.document["spec"]["initContainers"]
        found = {**_unready(init), "state": state}
        status = {"phase": phase, "startTime": _now(), "initContainerStatuses": [found]}
        await self._report(status, {"waiting": {"reason": "PodInitializing"}})
        self.ended = phase == "Failed"

    async def oom_killed(self) -> None:
        """Be killed for its memory."""
        await self.end(137, "OOMKilled")

    async def evicted(self, code: int = 137) -> None:
        """Be evicted by the kubelet, which sets a DisruptionTarget condition."""
        message = "The node was low on resource: ephemeral-storage."
        disrupted = condition("DisruptionTarget", "True", "TerminationByKubelet", message)
        status = {"phase": "Failed", "reason": "Evicted", "message": message}
        await self._end(code, "Error", {**status, "conditions": [disrupted]})

    async def preempted(self) -> None:
        """Give way to a pod of higher priority: a condition, then a deletion with its grace."""
        message = "stand-in-scheduler: preempting to accommodate a higher priority pod"
        disrupted = condition("DisruptionTarget", "True", "PreemptionByScheduler", message)
        await self.calls.patch_status(self.document, {"conditions": [disrupted]})
        await self.calls.delete(self.document, grace=None)

    async def lost_with_its_node(self) -> None:
        """Go as a pod does whose node is gone: nobody hears of its containers any more."""
        message = "PodGC: node no longer exists"
        disrupted = condition("DisruptionTarget", "True", "DeletionByPodGC", message)
        await self.calls.patch_status(self.document, {"phase": "Failed", "conditions": [disrupted]})
        self.ended = True
        await self.calls.delete(self.document)

    async def unschedulable(self, message: str) -> None:
        """Find no node; the message is the scheduler's."""
        refused = condition("PodScheduled", "False", "Unschedulable", message)
        await self.calls.patch_status(self.document, {"phase": "Pending", "conditions": [refused]})

    async def wait_for(self, reason: str, message: str) -> None:
        """Be on a node and not start, as with ImagePullBackOff or CreateContainerConfigError."""
        await self.bind()
        await self._report(
            {"phase": "Pending"}, {"waiting": {"reason": reason, "message": message}}
        )

    async def warn(self, reason: str, message: str) -> None:
        """Say what hinders it in an event, as controllers and kubelets do."""
        about = {"kind": "Pod", "name": self.name, "namespace": self.namespace}
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{self.name}."},
            "involvedObject": {**about, "uid": self.document["metadata"]["uid"]},
            "type": "Warning",
            "reason": reason,
            "message": message,
            "lastTimestamp": _now(),
        }
        await self.calls.call("POST", f"api/v1/namespaces/{self.namespace}/events", event)

    async def _end(self, code: int, reason: str, status: Document, message: str = "") -> None:
        terminated = self._terminated or self._ended(code, reason, message)
        conditions = [
            condition(name, "False", "PodFailed" if code else "PodCompleted")
            for name in ("ContainersReady", "Ready")
        ]
        status["conditions"] = [*conditions, *status.get("conditions", [])]
        self.exit_code = code
        await self._report(status, {"terminated": terminated})
        self.ended = True

    def _ended(self, code: int, reason: str = "", message: str = "") -> Document:
        said = {"message": message} if message else {}
        return {
            "exitCode": code,
            "reason": reason or ("Error" if code else "Completed"),
            "startedAt": self._started or _now(),
            "finishedAt": _now(),
            "containerID": f"containerd://{self.document['metadata']['uid']}",
            **said,
        }

    async def _report(self, status: Document, state: Document) -> None:
        running = "running" in state
        container = {
            "name": self.container["name"],
            "image": self.container["image"],
            "imageID": "" if "waiting" in state else self.image,
            "ready": running,
            "started": running,
            "restartCount": 0,
            "state": state,
        }
        found = [
            container if one["name"] == container["name"] else self._added(one, status, state)
            for one in self.document["spec"]["containers"]
        ]
        await self.calls.patch_status(self.document, {**status, "containerStatuses": found})

    def _added(self, container: Document, status: Document, trainer: Document) -> Document:
        """A container beside the trainer runs from when that starts until the pod ends."""
        if "waiting" in trainer:
            return {**_unready(container), "state": {"waiting": {"reason": "PodInitializing"}}}
        ended = status["phase"] in ("Succeeded", "Failed")
        state = {"terminated": self._ended(0)} if ended else {"running": {"startedAt": _now()}}
        return {**_unready(container), "ready": not ended, "started": not ended, "state": state}


def _unready(container: Document) -> Document:
    said = {"name": container["name"], "image": container["image"], "imageID": ""}
    return {**said, "ready": False, "started": False, "restartCount": 0}


def condition(name: str, status: str = "True", reason: str = "", message: str = "") -> Document:
    """A condition of a pod that begins now."""
    return {
        "type": name,
        "status": status,
        "reason": reason or None,
        "message": message or None,
        "lastTransitionTime": _now(),
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
