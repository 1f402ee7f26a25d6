"""One search as its user sees it: the resource, its Jobs and pods, its events and its folder."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from detnas.records import keys
from detnas.records.results import DetectorResult
from detnas.store import Store
from detnas.store.artifacts import load_record
from tests.cluster.api import EVENTS, JOBS, PODS, SEARCHES, Document
from tests.cluster.played_pod import PlayedPod
from tests.cluster.waiting import PATIENCE, eventually

if TYPE_CHECKING:
    from tests.operator.harness.harness import Harness

ENDED = ("Succeeded", "Failed")
NO_CONDITION: Document = {"status": "", "reason": "", "message": ""}


@dataclass
class Search:
    """A search of a harness; its Jobs are named by what follows the search's name (`-t0000`)."""

    harness: "Harness"
    body: Document
    uid: str = field(default="", init=False)

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.body["metadata"]["namespace"])

    def apply(self) -> "Search":
        """Create the resource."""
        self.uid = self.harness.cluster.api.create(self.body)["metadata"]["uid"]
        return self

    def patch(self, **spec: Any) -> None:
        """Change fields of the spec."""
        self.patch_resource({"spec": spec})

    def annotate(self, key: str, value: str) -> None:
        self.patch_resource({"metadata": {"annotations": {key: value}}})

    def patch_resource(self, patch: Document, part: str = "") -> None:
        """Merge a patch into the resource, or into its ``status``."""
        self.harness.cluster.api.patch(SEARCHES, self.namespace, self.name, patch, part)

    def delete(self) -> None:
        self.harness.cluster.api.delete(SEARCHES, self.namespace, self.name)

    def suspend_and_resume(self) -> None:
        """Suspend, wait until the status shows it, and resume, as after a cause was fixed."""
        self.patch(suspend=True)
        self.until(lambda: self.condition("Suspended")["reason"] == "SuspendedByUser")
        self.patch(suspend=False)

    @property
    def resource(self) -> Document:
        return self.harness.cluster.api.get(SEARCHES, self.namespace, self.name)

    @property
    def exists(self) -> bool:
        return self.harness.cluster.api.find(SEARCHES, self.namespace, self.name) is not None

    @property
    def status(self) -> Document:
        return dict(self.resource.get("status", {}))

    @property
    def phase(self) -> str:
        return str(self.status.get("phase", ""))

    @property
    def trials(self) -> dict[str, Any]:
        """The status's counters of trials."""
        return dict(self.status.get("trials", {}))

    def condition(self, kind: str) -> Document:
        """A condition; its fields are empty before there is one."""
        found = (one for one in self.status.get("conditions", ()) if one["type"] == kind)
        return next(found, NO_CONDITION)

    def has_condition(self, kind: str, status: str, reason: str) -> bool:
        condition = self.condition(kind)
        return (condition["status"], condition["reason"]) == (status, reason)

    def events(self, reason: str = "") -> list[Document]:
        """Its events in order, of one reason or of all."""
        fields = f"involvedObject.name={self.name},involvedObject.uid={self.uid}"
        found = self.harness.cluster.api.list(EVENTS, self.namespace, fieldSelector=fields)
        chosen = [event for event in found if reason in ("", event["reason"])]
        return sorted(chosen, key=lambda event: str(event["eventTime"]))

    def event(self, reason: str) -> Document:
        """Wait for an event of a reason; there must be only one."""
        self.until(lambda: self.events(reason))
        (event,) = self.events(reason)
        return event

    def messages(self, reason: str) -> list[str]:
        """Messages of its events of a reason."""
        return [event["message"] for event in self.events(reason)]

    def recoveries(self, reason: str) -> int:
        """Wait for an event that a reason is resolved; return how many there are."""
        message = f"resolved: {reason}"
        self.until(lambda: message in self.messages("Recovered"))
        return self.messages("Recovered").count(message)

    def until(self, find: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        """Wait until something is found, and return it.

        Raises:
            AssertionError: not in time; with all that is known of the search.
        """
        try:
            return eventually(find, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.diagnosis()}") from None

    def until_phase(self, phase: str, seconds: float = PATIENCE) -> "Search":
        self.until(lambda: self.phase == phase, seconds)
        return self

    def until_condition(self, kind: str, status: str, reason: str = "") -> Document:
        """Wait until a condition has a status (and a reason); return the condition."""

        def reached() -> Document | None:
            found = self.condition(kind)
            return found if found["status"] == status and reason in ("", found["reason"]) else None

        return dict(self.until(reached))

    def until_observed(self) -> None:
        """Wait until the operator has reconciled the latest change of the spec."""

        def observed() -> bool:
            resource = self.resource
            latest = resource["metadata"]["generation"]
            return bool(resource["status"]["observedGeneration"] == latest)

        self.until(observed)

    def until_runs(self, ending: str, seconds: float = PATIENCE) -> PlayedPod:
        """Wait until a pod of a Job runs, and return it."""
        return self.until(lambda: next(iter(self.running(ending)), None), seconds)

    def until_training(self, *endings: str) -> None:
        """Wait until the status reports progress of these Jobs."""

        def training() -> bool:
            active = self.status.get("active", ())
            at_work = {job["job"] for job in active if job["activity"] == "training"}
            return {self.name + ending for ending in endings} <= at_work

        self.until(training)

    def until_settled(self) -> None:
        """Wait until the operator has nothing left to do: every Job expires, none is active."""

        def settled() -> bool:
            specs = [job["spec"] for job in self.jobs().values()]
            expire = all("ttlSecondsAfterFinished" in spec for spec in specs)
            return expire and not self.status["active"]

        self.until(settled)

    def until_gone(self) -> None:
        """Wait until the resource no longer exists."""
        self.until(lambda: not self.exists)

    def diagnosis(self) -> str:
        """Status, events, Jobs and log lines, for the reader of a failed test."""
        told = [f"{event['reason']}: {event['message']}" for event in self.events()]
        jobs = [(name, job.get("status")) for name, job in self.jobs().items()]
        status = self.status if self.exists else "gone"
        own = [line for line in self.harness.operator.log.splitlines() if f'"{self.name}"' in line]
        return "\n".join(map(str, (self.name, status, *told, *jobs, *own[-12:])))

    def describe(self) -> str:
        kubectl = self.harness.cluster.kubectl
        return kubectl("-n", self.namespace, "describe", "detnassearch", self.name)

    def job(self, ending: str) -> Document | None:
        return self.harness.cluster.api.find(JOBS, self.namespace, self.name + ending)

    def jobs(self) -> dict[str, Document]:
        """The Jobs with its label, by name."""
        return {job["metadata"]["name"]: job for job in self._labelled(JOBS)}

    def pods(self) -> list[Document]:
        """The pods with its label."""
        return self._labelled(PODS)

    def live_pods(self) -> list[Document]:
        """Its pods that have not ended."""
        return [pod for pod in self.pods() if pod["status"]["phase"] not in ENDED]

    def pods_of(self, ending: str) -> list[PlayedPod]:
        """All pods that one of its Jobs has had."""
        played = self.harness.player.of(self.name + ending)
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
        """Keys of the jobs that its attempts began, in order; own ones within its folder."""
        pool = f"{self.namespace}/pools/"
        own = (key for key in self.harness.trainer.starts if self.folder in key or pool in key)
        return [key.removeprefix(f"{self.folder}/") for key in own]

    @property
    def folder(self) -> str:
        """Key of the folder that a search of this UID begins."""
        return keys.search_folder(self.namespace, self.name, self.uid)

    @property
    def stored_folder(self) -> str:
        """Key of the folder that its status names, which an adopted search has of another UID."""
        return str(self.status["folder"].removeprefix(f"{self.harness.root}/"))

    @property
    def store(self) -> Store:
        return self.harness.store

    def trial(self, number: int) -> DetectorResult | None:
        """A trial's result."""
        folder = keys.trial_folder(self.folder, number)
        return load_record(self.store, keys.result_key(folder), DetectorResult)

    def text(self, key: str) -> str:
        """An object in its folder; empty if there is none."""
        found = self.store.get(f"{self.folder}/{key}")
        return found.data.decode() if found else ""

    def _labelled(self, resource: str) -> list[Document]:
        selector = f"detnas.dev/search={self.name}"
        return self.harness.cluster.api.list(resource, self.namespace, labelSelector=selector)


def in_order(text: str, parts: tuple[str, ...]) -> bool:
    """Whether a text has all these parts, one after the other."""
    for part in parts:
        if part not in text:
            return False
        text = text[text.index(part) + len(part) :]
    return True
