"""How many jobs of a machine run concurrently, and how many threads each has without a GPU."""

from detnas.records.verbs import Verb
from detnas.spec.manifest import SearchSpec

_TRAINED_TOGETHER = 2
"""The base and a phase of the pool."""

_MAX_CONCURRENT_JOBS = {
    Verb.PREPARE: 1,
    Verb.BASE: _TRAINED_TOGETHER,
    Verb.POOL: _TRAINED_TOGETHER,
    Verb.EXTRACT: 1,
    Verb.TEST: 1,
    Verb.EXPORT: 1,
}
"""Jobs that can run concurrently with one of this verb, including it, if limited."""


def concurrent_jobs(verb: Verb, spec: SearchSpec) -> int:
    """Return how many jobs of a kind may run concurrently, at least 1."""
    parallelism = spec.search.parallelism
    if verb is Verb.FINETUNE and spec.finetune is not None:
        return min(parallelism, spec.finetune.candidates)
    if verb is Verb.BASELINE:
        return max(1, min(parallelism, len(spec.baselines)))
    return parallelism


def job_threads(verb: Verb, parallelism: int, processors: int) -> int:
    """Return the threads of a job, at least 1.

    It depends on the search alone and not on the jobs that happen to run: on a CPU the order of
    sums, and with it the last digits of a result, depends on the number of threads.

    Args:
        verb: of the job.
        parallelism: jobs that the search may run concurrently.
        processors: that they share.
    """
    at_once = min(parallelism, _MAX_CONCURRENT_JOBS.get(verb, parallelism))
    return max(1, processors // at_once)
