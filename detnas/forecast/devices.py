"""Which share of a machine, or of a cluster, each job of a search has."""

from collections.abc import Callable
from dataclasses import dataclass

from detnas.plan.gpus import gpus_of_pod, gpus_on_one_machine
from detnas.plan.threads import concurrent_jobs, job_threads
from detnas.records.verbs import Verb
from detnas.spec.manifest import SearchSpec

POD_SECONDS = 30.0
"""Until a pod whose image is on its node is scheduled, has started and imported torch."""

SHARED = 0.6
"""What each further thread adds to one that trains alone."""


@dataclass(frozen=True)
class Share:
    """What one job has.

    Attributes:
        at_once: jobs of its kind that run concurrently.
        devices: GPUs, or processors.
        speedup: over one GPU, or one thread.
    """

    at_once: int
    devices: int
    speedup: float


@dataclass(frozen=True)
class Devices:
    """What computes.

    Attributes:
        name: for people, such as ``2 processors without a GPU``.
        unit: ``GPU`` or ``core``.
        share: of a job, by its kind.
        start_seconds: from a job's start until it computes.
    """

    name: str
    unit: str
    share: Callable[[Verb], Share]
    start_seconds: float = 0.0


def on_processors(
    processors: int, at_once_of: Callable[[Verb], int], requested: int | None = None
) -> Devices:
    """Return the shares of jobs that run as processes of one machine, without GPUs.

    Args:
        processors: that they share.
        at_once_of: jobs of a kind that may run concurrently.
        requested: threads of every job, if the user sets them.
    """

    def share(verb: Verb) -> Share:
        at_once = at_once_of(verb)
        threads = requested or job_threads(verb, at_once, processors)
        crowd = max(1.0, at_once / processors)  # more jobs than processors take turns
        return Share(at_once, threads, (1 + SHARED * (threads - 1)) / crowd)

    name = f"{processors} processor{'s' * (processors > 1)} without a GPU"
    return Devices(name, "core", share)


def on_gpus(
    count: int, at_once_of: Callable[[Verb], int], gpus_of: Callable[[Verb], int]
) -> Devices:
    """Return the shares of jobs that run as processes of one machine with GPUs.

    Args:
        count: GPUs of the machine.
        at_once_of: jobs of a kind that may run concurrently.
        gpus_of: that a job of a kind has.
    """

    def share(verb: Verb) -> Share:
        gpus = max(1, gpus_of(verb))
        return Share(max(1, min(at_once_of(verb), count // gpus)), gpus, gpus)

    return Devices(f"{count} GPU{'s' * (count > 1)} of this machine", "GPU", share)


def on_machine(spec: SearchSpec, processors: int, gpus: int, threads: int | None = None) -> Devices:
    """Return the shares of a search's jobs under `detnas run`.

    Args:
        spec: of the search.
        processors: of the machine.
        gpus: of the machine.
        threads: of every job without a GPU, if the user sets them.
    """

    def at_once(verb: Verb) -> int:
        return concurrent_jobs(verb, spec)

    if gpus and gpus_of_pod(Verb.EVALUATE, spec):
        return on_gpus(gpus, at_once, lambda verb: gpus_on_one_machine(verb, spec, gpus))
    return on_processors(processors, at_once, threads)


def on_cluster(spec: SearchSpec) -> Devices:
    """Return the shares of a search's jobs that have what the manifest requests, all at once."""

    def share(verb: Verb) -> Share:
        pods = spec.teachers.workers if verb is Verb.POOL else 1
        devices = max(1, pods * gpus_of_pod(verb, spec))
        return Share(concurrent_jobs(verb, spec), devices, devices)

    unit = "GPU" if spec.evaluation.gpus else "core"
    name = f"a cluster with the {unit}s that the manifest requests"
    return Devices(name, unit, share, POD_SECONDS)
