"""How many threads a job computes with: its share of the processors, so that none wait in vain."""

from detnas.plan.stages import Verb

_TRAINED_TOGETHER = 2
"""The base and a phase of the pool."""

_MOST_AT_ONCE = {
    Verb.PREPARE: 1,
    Verb.BASE: _TRAINED_TOGETHER,
    Verb.POOL: _TRAINED_TOGETHER,
    Verb.FINETUNE: 1,
    Verb.EXPORT: 1,
}
"""Jobs that can run at the same time as one of this verb, itself counted, where it is limited."""


def job_threads(verb: Verb, parallelism: int, processors: int) -> int:
    """Return the threads of a job, at least 1.

    The number follows from the search alone and not from what happens to run, since on a CPU the
    order of sums, and with it the last digits of a result, depends on it.

    Args:
        verb: of the job.
        parallelism: jobs that the search may run at the same time.
        processors: that they share.
    """
    at_once = min(parallelism, _MOST_AT_ONCE.get(verb, parallelism))
    return max(1, processors // at_once)
