"""Whether a suspended search holds any node: its pods are looked for until none is left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from detnas.reasons import Reason, ReasonCode
from detnas_operator.cluster.cache import SearchKey
from detnas_operator.job_state import pods
from detnas_operator.reconcile.search_jobs import (
    SearchJobs,
    foreign_finalizers,
    has_ended,
    waits_for,
)

Object = dict[str, Any]

PATIENCE = timedelta(seconds=60)
"""For pods of a suspended search to be told to stop; then they have their grace besides."""


@dataclass
class Stopping:
    """Which suspended searches still have pods.

    Attributes:
        stopped: those of which none was left at the last look.
    """

    stopped: set[SearchKey] = field(default_factory=set)

    def look(self, jobs: SearchJobs, since: datetime, now: datetime) -> tuple[bool, Reason | None]:
        """Return whether a pod is left, and what keeps it for too long.

        Args:
            jobs: of a search that is suspended.
            since: when it was.
            now: the time.
        """
        left = {name: job for name, job in jobs.all().items() if not has_ended(job)}
        if not left and jobs.key in self.stopped:
            return False, None
        alive = jobs.live_pods()
        if left or alive:
            self.stopped.discard(jobs.key)
        else:
            self.stopped.add(jobs.key)
        return bool(alive), not_stopped(left, alive, since, now)

    def forget(self, key: SearchKey) -> None:
        """Take in that a search runs, or is gone."""
        self.stopped.discard(key)


def not_stopped(
    left: Mapping[str, Object], alive: Sequence[Object], since: datetime, now: datetime
) -> Reason | None:
    """Say which pods of a suspended search run on, and why; none while they may still stop.

    Args:
        left: Jobs that have not ended, by name; those that are deleted have a finalizer.
        alive: pods that have not ended.
        since: when the search was suspended.
        now: the time.
    """
    held = sorted(name for name, job in left.items() if foreign_finalizers(job))
    due = [pod for pod in alive if held or _due(pod, since) <= now]
    if not due:
        return None
    pod = min(due, key=pods.name)
    name, others = pods.name(pod), f", like {len(due) - 1} more," if due[1:] else ""
    said = f"the search is suspended, but pod {name} on node {pods.node(pod) or '(none)'}{others}"
    if held:
        why = f"job {held[0]} is deleted, but {waits_for(left[held[0]])}"
    elif foreign_finalizers(pod):
        why = f"pod {name}: {waits_for(pod)}"
    else:
        why = f"if the node is truly gone, delete it, or `kubectl delete pod {name} --force`"
    return Reason(ReasonCode.PODS_STOPPING, f"{said} has not stopped; {why}")


def _due(pod: Object, since: datetime) -> datetime:
    return max(since + PATIENCE, pods.moment(pod["metadata"].get("deletionTimestamp")) or since)
