"""Kueue's Workloads for suspended Jobs, where Kueue is installed.

Most clusters do not serve this kind, and a watch on it would only fail.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from detnas_operator.cluster import ClusterError, NotFound
from detnas_operator.cluster.objects import JobView
from detnas_operator.job_state.queueing import ObservedWorkload, Workload, read_workload
from detnas_operator.lookups.namespace_lookup import NamespaceLookup, NamespaceState

PAUSE_SECONDS = 10.0
"""Seconds between two lists of a namespace."""
PAUSE_SECONDS_EACH = 0.05
"""Seconds more for each Workload of the last list: they are large."""
_SHARE_AFTER_A_CHANGE = 0.2
"""Share of the pause after a Job has changed, such as one that Kueue preempts."""
ABSENT_PAUSE_SECONDS = 300.0
"""Seconds until a cluster without Kueue is asked again."""
MAX_WORKLOADS = 5000
VERSIONS = ("workloads", "workloads/v1beta1")
"""The kind in the versions that Kueue serves, the newest first."""
_WORKLOAD_CREATION_SECONDS = 5.0
"""Within this Kueue makes the Workload of a Job that it suspends."""


@dataclass(slots=True)
class _Workloads(NamespaceState):
    """What is known of a namespace.

    Attributes:
        workloads: by the UID of the Job that owns them.
        complete: whether these are all.
        unread: why they could not be read; empty if they could.
    """

    workloads: Mapping[str, Workload] = field(default_factory=dict)
    complete: bool = True
    unread: str = ""

    def observed(self, uid: str) -> ObservedWorkload | None:
        """Return what is known of a Job; None if the list was made too early for it."""
        if workload := self.workloads.get(uid):
            return ObservedWorkload(workload)
        if self.listed - self.requested[uid][0] < _WORKLOAD_CREATION_SECONDS:
            return None
        if self.unread or not self.complete:
            return ObservedWorkload(unread=self.unread or f"there are more than {MAX_WORKLOADS}")
        return ObservedWorkload()


class WorkloadLookup(NamespaceLookup[_Workloads]):
    """Lists the Workloads of a namespace. Thread-safe."""

    rate = 2.0
    burst = 1.0
    remembered = 600.0

    _absent_since = float("-inf")

    def look_up(self, namespace: str, jobs: Iterable[JobView]) -> dict[str, ObservedWorkload]:
        """Return what is known of suspended Jobs, by UID, after a lookup if one is due.

        A Job that is requested for the first time may be missing from the answer, until the next.
        """
        jobs = list(jobs)
        if not jobs:
            return {}
        state = self._observe(namespace, jobs)
        known = ((job.uid, state.observed(job.uid)) for job in jobs)
        return {uid: workload for uid, workload in known if workload is not None}

    def _new_state(self) -> _Workloads:
        return _Workloads()

    def _pause(self, state: _Workloads) -> float:
        pause = PAUSE_SECONDS + PAUSE_SECONDS_EACH * len(state.workloads)
        return pause * (_SHARE_AFTER_A_CHANGE if state.changed else 1.0)

    def _list(self, namespace: str, state: _Workloads) -> None:
        workloads: list[Workload] = []
        unread = ""
        if self._clock() - self._absent_since >= ABSENT_PAUSE_SECONDS:
            self._limit.take()
            try:
                workloads = self._workloads(namespace)
            except ClusterError as error:
                unread = str(error)
        state.workloads = {uid: workload for workload in workloads for uid in workload.owners}
        state.complete, state.unread = len(workloads) < MAX_WORKLOADS, unread

    def _workloads(self, namespace: str) -> list[Workload]:
        for kind in VERSIONS:
            try:
                listed = islice(self._client.list(kind, namespace), MAX_WORKLOADS)
                return list(map(read_workload, listed))
            except NotFound:  # in this version, or at all
                continue
        self._absent_since = self._clock()
        return []
