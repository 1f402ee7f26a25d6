"""Pods of a suspended or deleted search that do not stop: when that is reported, and how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from detnas.reasons import Reason, ReasonCode
from detnas_operator.cluster.objects import JobView
from detnas_operator.cluster.pods import PodView
from detnas_operator.search_jobs.jobs import SearchJobs

SUSPENSION_PATIENCE = timedelta(seconds=60)
"""For a suspended search's pods to receive their deletion; their grace period is added."""
DELETION_PATIENCE = timedelta(minutes=5)
"""For a deleted search's pods to stop before it is reported that they do not."""


@dataclass
class SuspendedPods:
    """Whether a suspended search still has pods, which are listed until none is left.

    Attributes:
        none_left: there was none when they were last listed.
    """

    none_left: bool = False

    def observe(
        self, jobs: SearchJobs, since: datetime, now: datetime
    ) -> tuple[bool, Reason | None]:
        """Return whether the suspended search still has a pod, and why it does not stop."""
        left = {name: job for name, job in jobs.all().items() if not job.has_ended}
        if not left and self.none_left:
            return False, None
        alive = jobs.live_pods()
        self.none_left = not (left or alive)
        return bool(alive), suspended_but_running(left, alive, since, now)


def suspended_but_running(
    left: Mapping[str, JobView], alive: Sequence[PodView], since: datetime, now: datetime
) -> Reason | None:
    """Return which pods of a suspended search keep running; None while they may still stop.

    Args:
        left: Jobs that have not ended, by name; those that are deleted have a finalizer.
        alive: pods that have not ended.
        since: when the search was suspended.
        now: the time.
    """
    held = sorted(name for name, job in left.items() if job.foreign_finalizers)
    late = alive if held else _late(alive, since + SUSPENSION_PATIENCE, now)
    if not late:
        return None
    pod = min(late, key=lambda pod: pod.name)
    if held:
        why = f"{left[held[0]].title} is deleted, but {left[held[0]].deletion_wait}"
    elif pod.foreign_finalizers:
        why = f"pod {pod.name}: {pod.deletion_wait}"
    else:
        why = _remedy(pod)
    named = _named(pod, len(late))
    return Reason(
        ReasonCode.PODS_STOPPING, f"the search is suspended, but {named} has not stopped; {why}"
    )


def deleted_but_running(
    alive: Sequence[PodView], deleted: datetime, now: datetime
) -> Reason | None:
    """Return which pods delay the deletion of a search for too long; None if none does.

    Args:
        alive: pods of the search that have not ended.
        deleted: when the search was deleted.
        now: the time; a pod whose grace period is not over is not late.
    """
    late = sorted(_late(alive, deleted, now), key=lambda pod: pod.name)
    if not late or now < deleted + DELETION_PATIENCE:
        return None
    pod = late[0]
    return Reason(
        ReasonCode.PODS_STOPPING,
        f"the search is deleted, and its data is deleted once its pods have stopped, but "
        f"{_named(pod, len(late))} has not since {_due(pod, deleted):%H:%M:%S} UTC; "
        f"{_remedy(pod)}: a pod that still runs would continue to write",
    )


def _late(alive: Sequence[PodView], since: datetime, now: datetime) -> list[PodView]:
    return [pod for pod in alive if _due(pod, since) <= now]


def _due(pod: PodView, since: datetime) -> datetime:
    """When a pod should have stopped, including its grace period once it is being deleted."""
    return max(since, pod.deleted or since)


def _named(pod: PodView, count: int) -> str:
    others = f", like {count - 1} more," if count > 1 else ""
    return f"pod {pod.name} on node {pod.node or '(none)'}{others}"


def _remedy(pod: PodView) -> str:
    name = pod.name
    return (
        f"if the node has been removed for good, delete it, or `kubectl delete pod {name} --force`"
    )
