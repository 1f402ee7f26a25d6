"""The trainer's environment in a pod."""

import math
from decimal import Decimal

from detnas.spec.jobs import JobFields
from detnas_operator.cluster.objects import Object
from detnas_operator.configuration.settings import OperatorSettings
from detnas_operator.job.order import JobOrder

CACHE = "/cache"
DEFAULT_THREADS = 4
"""Threads of a pod that requests no CPU. Other pods run on its node, too, and on a CPU the results
of sums depend on the number of threads, which must be the same on every node."""

_SHUTDOWN_SECONDS = 25
"""Seconds that the launcher has to shut down after the checkpoint."""


def environment(order: JobOrder, fields: JobFields, settings: OperatorSettings) -> list[Object]:
    """Return the container's ``env``; the operator's own values override all others."""
    storage = settings.storage
    chosen = {
        "PYTHONHASHSEED": "0",  # sets in the same order every run
        **_threads(fields.resources.cpu if fields.resources else None, processes_of_pod(order)),
        # CUDA images use every GPU of the node unless this hides them.
        **({} if order.gpus else {"NVIDIA_VISIBLE_DEVICES": "void"}),
        **settings.jobs.env,
        **(fields.env or {}),
        **({"AWS_ENDPOINT_URL": storage.endpoint} if storage.endpoint else {}),
        "AWS_DEFAULT_REGION": storage.region,
        "HOME": "/tmp",  # noqa: S108 # the pod's own; its root is read-only
        "DETNAS_CACHE": CACHE,
        "DETNAS_KEEP_LOG": "1",
        "DETNAS_TERMINATION_LOG": "/dev/termination-log",
        "DETNAS_STOP_SECONDS": str(_seconds_to_stop(order)),
    }
    return [{"name": name, "value": value} for name, value in chosen.items()]


def processes_of_pod(order: JobOrder) -> int:
    """Return how many processes of a pod share the job: one for each GPU."""
    return max(order.gpus, 1)


def launch_environment(order: JobOrder, host: str) -> list[Object]:
    """Return the variables of a pod that launches several processes, or is one of several.

    Args:
        order: of the job.
        host: where the first worker listens, with its port.
    """
    chosen = {
        "DETNAS_WORKERS": str(order.workers),
        "DETNAS_PROCESSES_PER_WORKER": str(processes_of_pod(order)),
        "DETNAS_RENDEZVOUS": host,
        # That of several workers comes from the Job controller. Trainers up to 0.1 need all four.
        **({"JOB_COMPLETION_INDEX": "0"} if order.workers == 1 else {}),
    }
    return [{"name": name, "value": value} for name, value in chosen.items()]


def _seconds_to_stop(order: JobOrder) -> int:
    """Return the seconds that the trainer has to write its checkpoint."""
    grace = order.spec.jobs.termination_grace_period_seconds
    return max(grace - _SHUTDOWN_SECONDS, grace // 2, 1)


def _threads(cpu: str | None, processes: int) -> dict[str, str]:
    """A process sees all cores of its node; more threads than its share slow each other down."""
    if cpu is None:
        threads = DEFAULT_THREADS
    else:
        cores = Decimal(cpu[:-1]) / 1000 if cpu.endswith("m") else Decimal(cpu)
        threads = max(1, math.floor(cores / processes))
    # torch, MKL and OpenBLAS read the first; images are resized by OpenCV's own threads.
    return dict.fromkeys(("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), str(threads))
