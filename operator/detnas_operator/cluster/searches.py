"""Searches: their key, a typed read-only view, and which of them a Job belongs to."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from detnas.reasons import ReasonCode
from detnas_operator.cluster.kinds import GROUP, KIND
from detnas_operator.cluster.objects import ConditionView, JobView, ObjectView


class SearchKey(NamedTuple):
    """Namespace and name of a search: the key in the work queue."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class SearchView(ObjectView):
    """A DetNASSearch; only the operator writes its status."""

    @cached_property
    def key(self) -> SearchKey:
        """Its namespace and name."""
        return SearchKey(self.namespace, self.name)

    @cached_property
    def generation(self) -> int:
        """Counts changes of its spec."""
        return int(self.body["metadata"]["generation"])

    @cached_property
    def folder(self) -> str:
        """URI of its folder in the store; empty before it is accepted."""
        return str(self.status.get("folder") or "")

    @cached_property
    def is_accepted(self) -> bool:
        """Whether it was accepted once, now or by an earlier operator."""
        return bool(self.folder)

    @cached_property
    def image(self) -> str:
        """The trainer's image that was pinned when it was accepted; may be empty."""
        return str(self.status.get("image") or "")

    @cached_property
    def pool(self) -> str:
        """URI of its teacher pool; empty until it is known."""
        return str((self.status.get("teachers") or {}).get("pool") or "")

    @cached_property
    def suspended_since(self) -> datetime | None:
        """When it was suspended, by the user or by the operator; None if it is not."""
        suspended = self.true_condition("Suspended")
        return None if suspended is None else suspended.changed

    @cached_property
    def was_suspended_by_user(self) -> bool:
        """Whether the user suspended it: one that the operator blocked is not resumed."""
        suspended = self.true_condition("Suspended")
        return suspended is not None and suspended.reason == ReasonCode.SUSPENDED_BY_USER

    @cached_property
    def gpu_hours(self) -> float:
        """GPU hours that it has used."""
        return float(self.status.get("gpuHours", 0))

    @cached_property
    def lost_gpu_hours(self) -> float:
        """GPU hours that it has used and whose records are lost."""
        return float(self.status.get("lostGpuHours", 0))

    @cached_property
    def forgiven_trials(self) -> int:
        """Trials below this number no longer count as failures in a row."""
        return int(self.status.get("forgivenTrials", 0))

    @cached_property
    def accepted_data_loss(self) -> str:
        """Token of the data loss that was accepted last; empty if none was."""
        return str(self.status.get("acceptedDataLoss", ""))

    @cached_property
    def phase(self) -> str:
        """Its phase; empty before its first status."""
        return str(self.status.get("phase") or "")

    @cached_property
    def conditions(self) -> list[ConditionView]:
        """All conditions of its status."""
        return [ConditionView(condition) for condition in self.status.get("conditions") or ()]


def owning_search(job: JobView) -> SearchKey | None:
    """Return the search that controls a Job; None if none does.

    Labels may be rewritten by others; owner references decide what is deleted with a search.
    """
    owner = job.controller
    if owner.get("kind") != KIND or str(owner.get("apiVersion")).partition("/")[0] != GROUP:
        return None
    return SearchKey(job.namespace, str(owner["name"]))
