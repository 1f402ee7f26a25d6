"""Pods of Jobs: label selectors that list them, and typed views of them and of events."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from detnas_operator.cluster.objects import Object, ObjectView, ReportView, parse_time

INDEX = "batch.kubernetes.io/job-completion-index"
"""Annotation of a pod of an Indexed Job."""
MAX_PODS = 2000
"""Pods that are read: a tenant could make any number with the operator's labels."""
JOBS_A_LIST = 150
"""UIDs in one label selector: some proxies refuse longer URLs."""
MAX_ANSWER_BYTES = 8 << 20
"""Of one answer: a page with more is read in smaller pages."""

_REFUSALS = ("FailedCreate", "JobCreationFailed", "HeadlessServiceCreationFailed")
"""Reasons of events: about a Job, and about a JobSet."""

_UID = "batch.kubernetes.io/controller-uid"
"""The Job controller selects its own pods by this label."""


def pod_selectors(uids: Sequence[str]) -> Iterator[str]:
    """Yield label selectors for the pods of Jobs, each for at most `JOBS_A_LIST` of them."""
    for first in range(0, len(uids), JOBS_A_LIST):
        yield f"{_UID} in ({','.join(uids[first : first + JOBS_A_LIST])})"


@dataclass(frozen=True)
class EventView(ReportView):
    """A core/v1 Event."""

    @cached_property
    def is_warning(self) -> bool:
        """Whether it reports a problem."""
        return self.body.get("type") == "Warning"

    @cached_property
    def refuses_a_pod(self) -> bool:
        """Whether a controller reports that it could not create a pod, or what must precede it."""
        return self.reason in _REFUSALS

    @cached_property
    def subject(self) -> str:
        """UID of the object it is about; empty if it names none."""
        return str((self.body.get("involvedObject") or {}).get("uid", ""))

    @cached_property
    def last_seen(self) -> str:
        """When it happened last, as the API writes it; empty if it is not stated."""
        series = (self.body.get("series") or {}).get("lastObservedTime")
        return str(series or self.body.get("lastTimestamp") or self.body.get("eventTime") or "")


@dataclass(frozen=True)
class TerminationView(ReportView):
    """How a container ended."""

    @cached_property
    def exit_code(self) -> int | None:
        """0 for success; None where the node did not report it."""
        return self.body.get("exitCode")

    @cached_property
    def started(self) -> datetime | None:
        """When the container started."""
        return parse_time(self.body.get("startedAt"))

    @cached_property
    def finished(self) -> datetime | None:
        """When it ended."""
        return parse_time(self.body.get("finishedAt"))


@dataclass(frozen=True)
class ContainerView:
    """The status of one container of a pod; empty if the pod reports none."""

    body: Object

    @cached_property
    def name(self) -> str:
        """Its name."""
        return str(self.body["name"])

    @cached_property
    def has_started(self) -> bool:
        """Whether its node reports it as started: of a sidecar, that its start-up probe passed."""
        return bool(self.body.get("started"))

    @cached_property
    def waiting(self) -> Object | None:
        """Why it has not started: reason and message; None if it is not waiting."""
        return self._state("state", "waiting")

    @cached_property
    def running(self) -> Object | None:
        """Since when it runs: ``startedAt``; None if it does not."""
        return self._state("state", "running")

    @cached_property
    def running_since(self) -> datetime | None:
        """When it started; None if it does not run."""
        return parse_time((self.running or {}).get("startedAt"))

    @cached_property
    def terminated(self) -> TerminationView | None:
        """How it ended; None if it has not."""
        ended = self._state("state", "terminated")
        return None if ended is None else TerminationView(ended)

    @cached_property
    def last_terminated(self) -> TerminationView | None:
        """How it ended before its last restart; None if it was not restarted."""
        ended = self._state("lastState", "terminated")
        return None if ended is None else TerminationView(ended)

    @cached_property
    def exit_code(self) -> int | None:
        """Its exit code; None if it has not ended."""
        return None if self.terminated is None else self.terminated.exit_code

    def _state(self, part: str, kind: str) -> Object | None:
        return (self.body.get(part) or {}).get(kind)


@dataclass(frozen=True)
class PodView(ObjectView):
    """A pod of a Job."""

    @cached_property
    def phase(self) -> str:
        """Pending, Running, Succeeded, Failed or Unknown."""
        return str(self.status.get("phase", "Pending"))

    @cached_property
    def has_ended(self) -> bool:
        """Whether all of its containers have ended for good."""
        return self.phase in ("Succeeded", "Failed")

    @cached_property
    def node(self) -> str:
        """Name of its node; empty before it has one."""
        return str(self.spec.get("nodeName") or "")

    @cached_property
    def started(self) -> datetime | None:
        """When its kubelet accepted it."""
        return parse_time(self.status.get("startTime"))

    @cached_property
    def reason(self) -> str:
        """Why its node ended it, such as ``Evicted``; may be empty."""
        return str(self.status.get("reason") or "")

    @cached_property
    def message(self) -> str:
        """The same for people; may be empty."""
        return str(self.status.get("message") or "")

    @cached_property
    def index(self) -> int:
        """Index of a worker; 0 for the pod of a Job that has one pod."""
        return int(self.annotations.get(INDEX, 0))

    @cached_property
    def claims(self) -> list[str]:
        """Names of the PersistentVolumeClaims that it mounts."""
        volumes = self.spec.get("volumes") or ()
        claims = (volume.get("persistentVolumeClaim") or {} for volume in volumes)
        return [str(claim["claimName"]) for claim in claims if claim.get("claimName")]

    @cached_property
    def containers(self) -> list[ContainerView]:
        """Statuses of its containers."""
        return [ContainerView(status) for status in self.status.get("containerStatuses") or ()]

    @cached_property
    def init_containers(self) -> list[ContainerView]:
        """Statuses of its init containers."""
        return [ContainerView(status) for status in self.status.get("initContainerStatuses") or ()]

    def container(self, name: str) -> ContainerView:
        """Return the status of a container by name: others may add more before or after it."""
        named = (container for container in self.containers if container.name == name)
        return next(named, ContainerView({"name": name}))

    def is_sidecar(self, name: str) -> bool:
        """Whether an init container is a native sidecar: it runs beside the containers."""
        return any(
            container["name"] == name and container.get("restartPolicy") == "Always"
            for container in self.spec.get("initContainers") or ()
        )
