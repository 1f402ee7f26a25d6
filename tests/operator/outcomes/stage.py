"""One operator for all tests of a module, and searches to try it with, each as its user sees it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from detnas.records import keys
from detnas.records.results import DetectorResult
from detnas.store import Store
from detnas.store.artifacts import load_record
from tests.cluster.api import EVENTS, JOBS, PODS, SEARCHES, Document
from tests.cluster.control_plane import ControlPlane
from tests.cluster.installation import Installation
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.played_pod import PlayedPod
from tests.cluster.pods import PodPlayer, Script
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.scripts import Scripts
from tests.cluster.searches import manifest
from tests.cluster.waiting import PATIENCE, eventually

ENDED = ("Succeeded", "Failed")
ONE_PHASE = {"phases": [{"epochs": 1, "learningRate": "0.1"}]}


@dataclass
class Stage:
    """Where searches play.

    Attributes:
        rooms: namespaces that nobody has used so far.
    """

    cluster: ControlPlane
    installation: Installation
    operator: OperatorProcess
    player: PodPlayer
    scripts: Scripts
    trainer: PretendedTrainer
    rooms: list[str]

    def room(self) -> str:
        """A namespace of one's own."""
        return self.rooms.pop()

    def search(
        self, name: str, spec: dict[str, Any] | None = None, room: str = "", **search: Any
    ) -> "Search":
        """A small search that is not there yet: one phase, two trials, no second attempts.

        Its name must be its own: what its pods do is found by it.
        """
        settings = {"trials": 2, "parallelism": 2, **search}
        sections = {"teachers": ONE_PHASE, "limits": {"retries": 0}, **(spec or {})}
        body = manifest(name, sections, **settings)
        body["metadata"]["namespace"] = room or self.room()
        return Search(self, body)

    def begun(self, name: str, *args: Any, **options: Any) -> "Search":
        """The same, applied."""
        return self.search(name, *args, **options).apply()

    def on(self, job: str, *attempts: Script) -> None:
        """Let the pods of these Jobs follow scripts in turn; all others do their work."""
        self.scripts.on(job, *attempts)


@dataclass
class Search:
    """One search."""

    stage: Stage
    body: Document
    uid: str = field(default="", init=False)

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.body["metadata"]["namespace"])

    def apply(self) -> "Search":
        """Create it as its user does."""
        self.uid = self.stage.cluster.api.create(self.body)["metadata"]["uid"]
        return self

    def patch(self, **spec: Any) -> None:
        """Change its spec."""
        body = {"spec": spec}
        self.stage.cluster.api.patch(SEARCHES, self.namespace, self.name, body)

    def delete(self) -> None:
        self.stage.cluster.api.delete(SEARCHES, self.namespace, self.name)

    def suspend_and_resume(self) -> None:
        """As a user does who mended something: it was seen to be suspended in between."""
        self.patch(suspend=True)
        self.until(lambda: self.condition("Suspended")["reason"] == "SuspendedByUser")
        self.patch(suspend=False)

    @property
    def resource(self) -> Document:
        return self.stage.cluster.api.get(SEARCHES, self.namespace, self.name)

    @property
    def is_there(self) -> bool:
        return self.stage.cluster.api.find(SEARCHES, self.namespace, self.name) is not None

    @property
    def status(self) -> Document:
        return dict(self.resource.get("status", {}))

    @property
    def phase(self) -> str:
        return str(self.status.get("phase", ""))

    @property
    def trials(self) -> dict[str, Any]:
        """Counters of its trials."""
        return dict(self.status.get("trials", {}))

    def condition(self, kind: str) -> Document:
        found = (one for one in self.status.get("conditions", ()) if one["type"] == kind)
        return next(found, {"status": "", "reason": "", "message": ""})

    def says(self, kind: str, status: str, reason: str) -> bool:
        condition = self.condition(kind)
        return (condition["status"], condition["reason"]) == (status, reason)

    def events(self, reason: str = "") -> list[Document]:
        """What was told of it, in order, as `kubectl describe` shows it."""
        fields = f"involvedObject.name={self.name},involvedObject.uid={self.uid}"
        found = self.stage.cluster.api.list(EVENTS, self.namespace, fieldSelector=fields)
        chosen = [event for event in found if reason in ("", event["reason"])]
        return sorted(chosen, key=lambda event: str(event["eventTime"]))

    def told(self, reason: str) -> Document:
        """The one event of a kind."""
        self.until(lambda: self.events(reason))
        (event,) = self.events(reason)
        return event

    def until(self, find: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        """Wait; say what the search said last if it does not come."""
        try:
            return eventually(find, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.story()}") from None

    def until_phase(self, phase: str, seconds: float = PATIENCE) -> "Search":
        self.until(lambda: self.phase == phase, seconds)
        return self

    def until_runs(self, ending: str, seconds: float = PATIENCE) -> PlayedPod:
        """Wait until a pod of a Job runs, and return it."""
        return self.until(lambda: next(iter(self.running(ending)), None), seconds)

    def story(self) -> str:
        """All that can be said of it, for whoever looks at a failed test."""
        told = [f"{event['reason']}: {event['message']}" for event in self.events()]
        jobs = [(job["metadata"]["name"], job.get("status")) for job in self.jobs()]
        status = self.status if self.is_there else "gone"
        own = [line for line in self.stage.operator.log.splitlines() if f'"{self.name}"' in line]
        return "\n".join(map(str, (self.name, status, *told, *jobs, *own[-12:])))

    def describe(self) -> str:
        return self.stage.cluster.kubectl(
            "-n", self.namespace, "describe", "detnassearch", self.name
        )

    def job(self, ending: str) -> Document | None:
        return self.stage.cluster.api.find(JOBS, self.namespace, self.name + ending)

    def jobs(self) -> list[Document]:
        return self._labelled(JOBS)

    def live_pods(self) -> list[Document]:
        """Its pods that have not ended."""
        return [pod for pod in self._labelled(PODS) if pod["status"]["phase"] not in ENDED]

    def pods_of(self, ending: str) -> list[PlayedPod]:
        """The pods that a Job of its has had."""
        played = self.stage.player.of(self.name + ending)
        return [pod for pod in played if pod.namespace == self.namespace]

    def running(self, ending: str) -> list[PlayedPod]:
        """Those of them that run now."""
        live = {
            pod["metadata"]["name"]
            for pod in self.live_pods()
            if pod["status"]["phase"] == "Running"
        }
        return [pod for pod in self.pods_of(ending) if pod.name in live]

    @property
    def starts(self) -> list[str]:
        """What its attempts were at, in order: the last words of their keys."""
        pool = f"{self.namespace}/pools/"
        own = (key for key in self.stage.trainer.starts if self.folder in key or pool in key)
        return [key.removeprefix(f"{self.folder}/") for key in own]

    @property
    def folder(self) -> str:
        """Key of its folder."""
        return keys.search_folder(self.namespace, self.name, self.uid)

    @property
    def store(self) -> Store:
        (root,) = self.stage.installation.settings["storage"]["allowed"]
        return self.stage.trainer.store(root)

    def trial(self, number: int) -> DetectorResult | None:
        """A trial's result."""
        folder = keys.trial_folder(self.folder, number)
        return load_record(self.store, keys.result_key(folder), DetectorResult)

    def text(self, key: str) -> str:
        """An object in its folder; empty where there is none."""
        found = self.store.get(f"{self.folder}/{key}")
        return found.data.decode() if found else ""

    def _labelled(self, resource: str) -> list[Document]:
        selector = f"detnas.dev/search={self.name}"
        return self.stage.cluster.api.list(resource, self.namespace, labelSelector=selector)


def in_order(text: str, parts: tuple[str, ...]) -> bool:
    """Whether a text has all these parts, one after the other."""
    for part in parts:
        if part not in text:
            return False
        text = text[text.index(part) + len(part) :]
    return True
