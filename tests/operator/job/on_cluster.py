"""A namespace under Pod Security "restricted" with a search in it, and pods played by hand."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from detnas.records.verbs import Verb
from detnas_operator.cluster.objects import JobView
from detnas_operator.cluster.pods import PodView
from detnas_operator.job.manifest import job_manifest
from detnas_operator.job.order import JobOrder, Owner
from detnas_operator.job_state.derive import job_state
from detnas_operator.job_state.state import JobState
from tests.cluster.admission import restrict
from tests.cluster.api import JOBS, PODS, Api, Document
from tests.cluster.searches import manifest
from tests.cluster.waiting import eventually
from tests.operator.job.orders import SETTINGS, TENANT, order


@dataclass(frozen=True)
class Tenancy:
    """One namespace, and the search in it."""

    api: Api
    namespace: str
    owner: Owner

    def order(self, verb: Verb = Verb.EVALUATE, spec: dict[str, Any] | None = None) -> JobOrder:
        """Order a Job of the search."""
        return order(verb, spec, self.owner)

    def create(self, verb: Verb = Verb.EVALUATE, spec: dict[str, Any] | None = None) -> str:
        """Create a Job and return its name."""
        job = job_manifest(self.order(verb, spec), SETTINGS, TENANT)
        return self.api.create(job, fieldValidation="Strict")["metadata"]["name"]

    def pods(self, job: str) -> list[Document]:
        """Pods of a Job, ended ones too, oldest first."""
        found = self.api.list(PODS, self.namespace, labelSelector=f"job-name={job}")
        return sorted(found, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def pods_when(self, job: str, count: int) -> list[Document]:
        """Pods of a Job, once there are so many."""

        def found() -> list[Document]:
            pods = self.pods(job)
            return pods if len(pods) == count else []

        return eventually(found)

    def state(self, job: str, now: datetime | None = None, refused: str = "") -> JobState:
        """How a Job stands now."""
        found = JobView(self.api.get(JOBS, self.namespace, job))
        pods = list(map(PodView, self.pods(job)))
        return job_state(found, pods, now or datetime.now(UTC), refused)

    def play(self, pod: Document, phase: str, state: Document | None, **status: Any) -> None:
        """Say of a pod what its node would."""
        name = pod["metadata"]["name"]
        container = {
            "name": "trainer",
            "image": "trainer",
            "imageID": "",
            "ready": phase == "Running",
            "restartCount": 0,
            "state": state,
        }
        said = {"phase": phase, "containerStatuses": [container] if state else [], **status}
        self.api.patch(PODS, self.namespace, name, {"status": said}, "status")

    def end(self, pod: Document, code: int, reason: str = "Error", **status: Any) -> None:
        """End a pod's container."""
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        terminated = {"exitCode": code, "reason": reason, "startedAt": now, "finishedAt": now}
        phase = "Failed" if code else "Succeeded"
        self.play(pod, phase, {"terminated": terminated}, **status)


def tenancy(api: Api, namespace: str) -> Tenancy:
    """Make a namespace a tenant's: restricted, with a service account and a search."""
    restrict(api, namespace)
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": TENANT.service_account, "namespace": namespace},
    }
    api.create(account)
    found = api.create(manifest("r18"), namespace)["metadata"]
    return Tenancy(api, namespace, Owner(found["name"], namespace, found["uid"]))
