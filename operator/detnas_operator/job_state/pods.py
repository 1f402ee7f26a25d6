"""A Job's own pods: how their trainer ended, and which of them the operator ends.

A proxy that a webhook adds may never end: the trainer fails, and its pod holds its GPUs forever.
The operator deletes such a pod, and the Job controller counts it as if it had ended by itself: as a
failure, a resumption, or the end of the Job.
"""

from collections.abc import Iterable
from datetime import datetime

from detnas.exit_codes import ExitCode
from detnas_operator.cluster.objects import JobView
from detnas_operator.cluster.pods import PodView
from detnas_operator.job.names import CONTAINER


def owned_by(job: JobView, pods: Iterable[PodView]) -> list[PodView]:
    """Return the pods of the Job with this UID: another of its name may have been deleted."""
    return [pod for pod in pods if job.pods_owner in pod.owner_uids]


def is_kept_alive(pod: PodView) -> bool:
    """Whether the trainer has ended, and another container keeps the pod from ending.

    Native sidecars do not: the node stops them once the trainer has ended.
    """
    if pod.has_ended or pod.container(CONTAINER).terminated is None:
        return False
    return any(container.terminated is None for container in pod.containers)


def has_failed(pod: PodView) -> bool:
    """Whether the pod failed, or its trainer did and another container keeps the pod alive."""
    return pod.phase == "Failed" or (
        is_kept_alive(pod) and bool(pod.container(CONTAINER).exit_code)
    )


def is_ignored(pod: PodView) -> bool:
    """Whether a failed pod does not count towards the Job's ``backoffLimit``."""
    interrupted = pod.container(CONTAINER).exit_code == ExitCode.INTERRUPTED
    return interrupted or pod.true_condition("DisruptionTarget") is not None


def pods_to_end(job: JobView, pods: Iterable[PodView]) -> list[PodView]:
    """Return pods kept alive whose trainer has failed, unless they are being deleted."""
    return [
        pod
        for pod in owned_by(job, pods)
        if is_kept_alive(pod) and has_failed(pod) and not pod.is_being_deleted
    ]


def job_is_kept_alive(
    job: JobView, pods: Iterable[PodView], *, trainer_succeeded: bool = False
) -> bool:
    """Whether the first worker's trainer has ended, and another container keeps its pod alive.

    Args:
        job: the Job.
        pods: its pods, among others.
        trainer_succeeded: only an exit with 0 counts.
    """
    for pod in owned_by(job, pods):
        if pod.index == 0 and is_kept_alive(pod):
            return not (trainer_succeeded and pod.container(CONTAINER).exit_code)
    return False


def ended_at(pod: PodView) -> datetime | None:
    """When the trainer ended, or if it did not run, the last other container; None if unknown."""
    ended = pod.container(CONTAINER).terminated
    finished = None if ended is None else ended.finished
    return finished or last_end(pod)


def last_end(pod: PodView) -> datetime | None:
    """When the last of its ended containers did; None if unknown."""
    containers = (*pod.containers, *pod.init_containers)
    ends = (c.terminated.finished for c in containers if c.terminated is not None)
    return max((end for end in ends if end is not None), default=None)
