"""Kubernetes objects: plain dictionaries, and typed read-only views of those that are read.

A view reads each field once, so an object is never changed under its view.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

Object = dict[str, Any]
"""An object as the API writes it."""
Status = Mapping[str, Any]
"""The status of a search, or a part of an object, as the API writes it; only read."""

_FOREGROUND = "foregroundDeletion"
_BUILT_IN = ("kubernetes.io/job-controller", "jobset.sigs.k8s.io/jobset-controller")
"""Values of ``spec.managedBy`` that mean the same as none."""
MAX_TEXT_CHARACTERS = 500
"""Characters of a text from the cluster that a message quotes."""


def parse_time(text: str | None) -> datetime | None:
    """Read a Kubernetes timestamp; None if there is none."""
    return datetime.fromisoformat(text) if text else None


def one_line(text: str | None) -> str:
    """Return what the cluster reports as one line of bounded length, for a message."""
    line = " ".join((text or "").split())
    return line if len(line) <= MAX_TEXT_CHARACTERS else f"{line[:MAX_TEXT_CHARACTERS]}…"


@dataclass(frozen=True)
class ReportView:
    """What a condition, an event or the end of a container reports."""

    body: Object

    @cached_property
    def reason(self) -> str:
        """In CamelCase, for programs, such as ``OOMKilled``; may be empty."""
        return str(self.body.get("reason") or "")

    @cached_property
    def message(self) -> str:
        """For people; of a container the end of its log; may be empty."""
        return str(self.body.get("message") or "")


@dataclass(frozen=True)
class ConditionView(ReportView):
    """One condition of an object's status (metav1.Condition)."""

    @cached_property
    def status(self) -> str:
        """True, False or Unknown."""
        return str(self.body["status"])

    @cached_property
    def is_true(self) -> bool:
        """Whether its status is True."""
        return self.status == "True"

    @cached_property
    def changed(self) -> datetime | None:
        """When its status last changed."""
        return parse_time(self.body.get("lastTransitionTime"))


@dataclass(frozen=True)
class ObjectView:
    """What objects of every kind have in common."""

    body: Object

    @cached_property
    def spec(self) -> Object:
        """Its spec; empty if it has none."""
        return self.body.get("spec") or {}

    @cached_property
    def status(self) -> Object:
        """Its status; empty if it has none."""
        return self.body.get("status") or {}

    @cached_property
    def name(self) -> str:
        """Its name."""
        return str(self.body["metadata"]["name"])

    @cached_property
    def namespace(self) -> str:
        """Its namespace."""
        return str(self.body["metadata"]["namespace"])

    @cached_property
    def uid(self) -> str:
        """Its UID; empty before it is created."""
        return str(self.body["metadata"].get("uid", ""))

    @cached_property
    def version(self) -> int:
        """Its resourceVersion as a number: etcd's revision, which increases with every write."""
        return int(self.body["metadata"].get("resourceVersion") or 0)

    @cached_property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return self.body["metadata"].get("labels") or {}

    @cached_property
    def annotations(self) -> dict[str, str]:
        """Its annotations."""
        return self.body["metadata"].get("annotations") or {}

    @cached_property
    def finalizers(self) -> list[str]:
        """Its finalizers."""
        return list(self.body["metadata"].get("finalizers") or ())

    @cached_property
    def foreign_finalizers(self) -> list[str]:
        """The finalizers for which it waits, once deleted, after its pods have stopped."""
        return [name for name in self.finalizers if name != _FOREGROUND]

    @cached_property
    def deletion_wait(self) -> str:
        """What it waits for while it is being deleted, for a message."""
        if self.foreign_finalizers:
            return (
                f"it waits for the finalizer {', '.join(self.foreign_finalizers)}: the controller "
                "that set it removes it; if that controller is gone, remove it with kubectl edit"
            )
        if self.finalizers:
            return f"it waits until its pods have stopped ({_FOREGROUND})"
        return "waiting until it is gone"

    @cached_property
    def created(self) -> datetime | None:
        """When it was created."""
        return parse_time(self.body["metadata"].get("creationTimestamp"))

    @cached_property
    def deleted(self) -> datetime | None:
        """When its deletion is due: of a pod, the end of its grace period; None if it stays."""
        return parse_time(self.body["metadata"].get("deletionTimestamp"))

    @cached_property
    def is_being_deleted(self) -> bool:
        """Whether its deletion was requested."""
        return "deletionTimestamp" in self.body["metadata"]

    @cached_property
    def owner_uids(self) -> list[str]:
        """UIDs of all its owners."""
        owners = self.body["metadata"].get("ownerReferences") or ()
        return [str(owner.get("uid", "")) for owner in owners]

    @cached_property
    def controller(self) -> Object:
        """The owner reference of its controller; empty if it has none."""
        owners = self.body["metadata"].get("ownerReferences") or ()
        return next((dict(owner) for owner in owners if owner.get("controller")), {})

    @cached_property
    def controller_uid(self) -> str:
        """UID of its controller; empty if it has none."""
        return str(self.controller.get("uid", ""))

    def condition(self, kind: str) -> ConditionView | None:
        """Return a condition of its status; None if it is not stated."""
        for condition in self.status.get("conditions") or ():
            if condition["type"] == kind:
                return ConditionView(condition)
        return None

    def true_condition(self, kind: str) -> ConditionView | None:
        """Return a condition that is True; else None."""
        condition = self.condition(kind)
        return condition if condition is not None and condition.is_true else None


@dataclass(frozen=True)
class JobView(ObjectView):
    """A batch/v1 Job, or a JobSet that is read as one (`jobsets.as_job`)."""

    @cached_property
    def plural(self) -> str:
        """What the client calls its kind."""
        return "jobsets" if self.body.get("kind") == "JobSet" else "jobs"

    @cached_property
    def kind(self) -> str:
        """Job or JobSet, for messages."""
        return "JobSet" if self.plural == "jobsets" else "Job"

    @cached_property
    def title(self) -> str:
        """Its kind and name, for messages."""
        return f"{self.kind} {self.name}"

    @cached_property
    def pods_owner(self) -> str:
        """UID of what owns its pods: of a JobSet its Job, if that is in this cluster."""
        return str((self.body.get("child") or {}).get("uid") or self.uid)

    @cached_property
    def pods_owner_name(self) -> str:
        """Name of the Job that owns its pods."""
        return str((self.body.get("child") or {}).get("name") or self.name)

    @cached_property
    def manager(self) -> str:
        """Who runs it in place of this cluster's controllers, such as MultiKueue; or empty."""
        manager = str(self.spec.get("managedBy") or "")
        return "" if manager in _BUILT_IN else manager

    @cached_property
    def has_ended(self) -> bool:
        """Whether it is over, with or without success."""
        return bool(self.true_condition("Complete") or self.true_condition("Failed"))

    @cached_property
    def suspended(self) -> bool:
        """Whether Kueue or a user holds back all of its pods."""
        return bool(self.spec.get("suspend"))

    @cached_property
    def parallelism(self) -> int:
        """How many pods work on it concurrently."""
        return int(self.spec.get("parallelism") or 1)

    @cached_property
    def ttl_seconds(self) -> int | None:
        """Seconds after its end until Kubernetes deletes it; None for never."""
        return self.spec.get("ttlSecondsAfterFinished")

    @cached_property
    def deadline_seconds(self) -> int | None:
        """Seconds after which it is ended; None for no limit."""
        return self.spec.get("activeDeadlineSeconds")

    @cached_property
    def started(self) -> datetime | None:
        """When the Job controller started it, or resumed it after its last suspension."""
        return parse_time(self.status.get("startTime"))

    @cached_property
    def completed(self) -> datetime | None:
        """When it succeeded; None if it has not."""
        return parse_time(self.status.get("completionTime"))

    @cached_property
    def active_pods(self) -> int:
        """Pods that are pending or run."""
        return int(self.status.get("active") or 0)

    @cached_property
    def ready_pods(self) -> int:
        """Pods that run and are ready."""
        return int(self.status.get("ready") or 0)

    @cached_property
    def failed_pods(self) -> int:
        """Pods that failed and count as attempts."""
        return int(self.status.get("failed") or 0)
