"""The trainer's environment in a pod."""

import math
from decimal import Decimal

from detnas.plan.stages import Verb
from detnas.spec.jobs import JobFields
from detnas_operator.cluster.objects import Object
from detnas_operator.configuration.settings import OperatorSettings, StorageSettings, Tenant
from detnas_operator.job.order import JobOrder

CACHE = "/cache"
DEFAULT_THREADS = 4
"""Of a pod that requests no share of its node's cores: others run there too, and on a CPU sums
depend on the number of threads, which is to be the same on every node."""

_GOODBYE_SECONDS = 25


def environment(order: JobOrder, fields: JobFields, settings: OperatorSettings) -> list[Object]:
    """Return the container's ``env``: names are unique, and the operator's own values win."""
    chosen = {
        "PYTHONHASHSEED": "0",  # sets in the same order every run
        **_threads(fields.resources.cpu if fields.resources else None),
        **_devices(order.gpus),
        **settings.jobs.env,
        **(fields.env or {}),
        **_storage(settings.storage),
        "HOME": "/tmp",  # noqa: S108 # the pod's own; its root is read-only
        "DETNAS_CACHE": CACHE,
        "DETNAS_KEEP_LOG": "1",
        "DETNAS_TERMINATION_LOG": "/dev/termination-log",
        "DETNAS_STOP_SECONDS": str(_seconds_to_stop(order)),
    }
    return [{"name": name, "value": value} for name, value in chosen.items()]


def credentials(tenant: Tenant) -> list[Object]:
    """Return the container's ``envFrom``: the tenant's keys; empty with a workload identity."""
    if not tenant.credentials_secret:
        return []
    return [{"secretRef": {"name": tenant.credentials_secret}}]


def rendezvous(order: JobOrder, host: str) -> list[Object]:
    """Return the variables of one of several workers; its index comes from the Job controller.

    Args:
        order: of a pool's phase.
        host: where the first worker listens, with its port.
    """
    assert order.due.verb is Verb.POOL
    return [
        {"name": "DETNAS_WORKERS", "value": str(order.workers)},
        {"name": "DETNAS_PROCESSES_PER_WORKER", "value": str(max(order.gpus, 1))},
        {"name": "DETNAS_RENDEZVOUS", "value": host},
    ]


def _storage(storage: StorageSettings) -> dict[str, str]:
    endpoint = {"AWS_ENDPOINT_URL": storage.endpoint} if storage.endpoint else {}
    return {**endpoint, "AWS_DEFAULT_REGION": storage.region}


def _seconds_to_stop(order: JobOrder) -> int:
    """How long the trainer may take for its checkpoint; the launcher shuts down after that."""
    grace = order.spec.jobs.termination_grace_period_seconds
    return max(grace - _GOODBYE_SECONDS, grace // 2, 1)


def _threads(cpu: str | None) -> dict[str, str]:
    """A process sees all cores of its node; more threads than its share slow each other down."""
    if cpu is None:
        threads = DEFAULT_THREADS
    else:
        cores = Decimal(cpu[:-1]) / 1000 if cpu.endswith("m") else Decimal(cpu)
        threads = max(1, math.floor(cores))
    # torch, MKL and OpenBLAS read the first; images are resized by OpenCV's own threads.
    return dict.fromkeys(("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), str(threads))


def _devices(gpus: int) -> dict[str, str]:
    """CUDA images use every GPU of the node unless a variable hides them."""
    return {} if gpus else {"NVIDIA_VISIBLE_DEVICES": "void"}
