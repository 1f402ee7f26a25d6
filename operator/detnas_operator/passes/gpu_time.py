"""GPU time of a search, from what its jobs took: the same after any restart."""

from collections.abc import Iterable

from detnas.lifecycle.state import SearchState
from detnas.plan.stages import Verb
from detnas.records.results import Result
from detnas.spec.manifest import SearchSpec
from detnas_operator.job.order import gpus


def held_gpus(spec: SearchSpec, verb: Verb) -> int:
    """How many GPUs a job of this kind holds, over all of its pods."""
    workers = spec.teachers.workers if verb is Verb.POOL else 1
    return workers * gpus(verb, spec)


def gpu_seconds(
    state: SearchState,
    spec: SearchSpec,
    running: Iterable[tuple[Verb, float]],
    *,
    trained_pool: bool,
) -> float:
    """Return the GPU seconds used so far.

    Args:
        state: where the search stands.
        spec: what it is told.
        running: kind and pod seconds of the jobs that have no result yet: each pod's time.
        trained_pool: this search trained its pool, rather than find or share one.
    """
    summary, ending = state.history.summary, state.ending
    used = [
        (Verb.EVALUATE, summary.milliseconds / 1000),
        (Verb.BASE, _seconds(state.base)),
        (Verb.FINETUNE, _seconds(ending.finetune if ending else None)),
        (Verb.EXPORT, _seconds(ending.export if ending else None)),
    ]
    if trained_pool:
        used += [(Verb.POOL, _seconds(phase)) for phase in state.pool]
    ended = sum(held_gpus(spec, verb) * seconds for verb, seconds in used)
    return ended + sum(gpus(verb, spec) * seconds for verb, seconds in running)


def _seconds(result: Result | None) -> float:
    return sum(result.seconds.values()) if result is not None else 0.0
