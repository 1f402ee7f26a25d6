"""What the pods of running Jobs have come to, as far as it was looked up: time and resumptions.

A Job's own start says nothing of its GPU time: its pods may have waited for a node ever since.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from detnas_operator.job_state.accounting import pod_seconds, resumptions
from detnas_operator.job_state.ended_pods import own_pods

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Known:
    seconds: float
    resumptions: int


@dataclass
class RunningPods:
    """The pods of one search's running Jobs, summed up by Job.

    Attributes:
        read: when they were looked up; none while they never were.
    """

    read: datetime | None = None
    _known: dict[str, _Known] = field(default_factory=dict)

    def look_up(self, jobs: Iterable[Object], pods: Sequence[Object], now: datetime) -> None:
        """Take in the pods of running Jobs; other Jobs are forgotten."""
        self._known = {_uid(job): _summed_up(job, pods, now) for job in jobs}
        self.read = now

    def seconds(self, job: Object, now: datetime) -> float:
        """Seconds that a Job's pods have held their nodes; 0 before they were seen on one.

        Since the last look every pod that is ready has gone on.
        """
        known = self._known.get(_uid(job))
        if known is None or self.read is None:
            return 0.0
        ready = job.get("status", {}).get("ready") or 0
        return known.seconds + ready * (now - self.read).total_seconds()

    def resumptions(self, job: Object) -> int:
        """How often a Job was resumed, as far as its pods are still there."""
        known = self._known.get(_uid(job))
        return known.resumptions if known else 0


def _summed_up(job: Object, pods: Sequence[Object], now: datetime) -> _Known:
    own = own_pods(job, pods)
    return _Known(pod_seconds(own, now), resumptions(own))


def _uid(job: Object) -> str:
    return str(job["metadata"]["uid"])
