"""The GPUs that the jobs of a search request."""

from dataclasses import dataclass

from detnas.plan.gpus import gpus_of_pod
from detnas.records.verbs import Verb
from detnas.spec.manifest import SearchSpec
from detnas_operator.configuration.settings import JobSettings, OperatorSettings


@dataclass(frozen=True)
class Needs:
    """GPUs.

    Attributes:
        resource: name of the device plugin's resource.
        pod: most of one pod.
        job: most of one job, all its pods together.
        together: most that are requested at once.
        selector: labels of the nodes that run the jobs.
    """

    resource: str
    pod: int = 1
    job: int = 1
    together: int = 1
    selector: tuple[tuple[str, str], ...] = ()


def needs_of(spec: SearchSpec | None, settings: OperatorSettings | None) -> Needs:
    """Return what a search requests; without one, a single GPU."""
    usual = settings.jobs.gpu_resource if settings else JobSettings().gpu_resource
    if spec is None:
        return Needs(usual)
    jobs = spec.jobs
    workers = {Verb.POOL: spec.teachers.workers} if spec.teachers.trained_phases else {}
    pods = {verb: gpus_of_pod(verb, spec) for verb in Verb if verb is not Verb.POOL or workers}
    whole = {verb: count * workers.get(verb, 1) for verb, count in pods.items()}
    together = max(
        whole[Verb.BASE] + whole.get(Verb.POOL, 0) * (spec.search.parallelism > 1),
        whole[Verb.EVALUATE] * spec.search.parallelism,
        *whole.values(),
    )
    return Needs(
        resource=jobs.gpu_resource or usual,
        pod=max(pods.values()),
        job=max(whole.values()),
        together=together,
        selector=tuple((jobs.node_selector or {}).items()),
    )
