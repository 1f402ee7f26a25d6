"""GPU time of a search, from what its jobs took: the same after any restart."""

from collections.abc import Iterable
from datetime import UTC, datetime

from detnas.lifecycle.reading.state import SearchState
from detnas.plan.stages import DueJob, Verb
from detnas.records.results import Result
from detnas.spec.manifest import SearchSpec
from detnas_operator.job.order import gpus
from detnas_operator.reconcile.memory import SearchMemory
from detnas_operator.reconcile.observing import Naming, is_finished
from detnas_operator.reconcile.search_jobs import SearchJobs, purpose
from detnas_operator.reconcile.stopped_jobs import untold_seconds


def pods_at_a_time(spec: SearchSpec, verb: Verb) -> int:
    """How many pods a Job of this kind has."""
    return spec.teachers.workers if verb is Verb.POOL else 1


def gpu_seconds(
    state: SearchState,
    spec: SearchSpec,
    besides: Iterable[tuple[Verb, float]],
    *,
    trained_pool: bool,
) -> float:
    """Return the GPU seconds used so far.

    Args:
        state: where the search stands.
        spec: what it is told.
        besides: kind and pod seconds of what no result tells: each pod's time.
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
    told = sum(pods_at_a_time(spec, verb) * gpus(verb, spec) * seconds for verb, seconds in used)
    return told + sum(gpus(verb, spec) * seconds for verb, seconds in besides)


def used_gpu_seconds(
    memory: SearchMemory, jobs: SearchJobs, naming: Naming, *, trained_pool: bool
) -> float:
    """Return the GPU seconds that a search has used so far; they never fall.

    Args:
        memory: of the search.
        jobs: its Jobs in the cluster.
        naming: names what they are for.
        trained_pool: this search trained its pool.
    """
    state, now = naming.state, datetime.now(UTC)
    besides = [
        (due.verb, memory.running.seconds(job, now))
        for job in jobs.all().values()
        if not is_finished(state, due := purpose(job)) and not memory.stopped.holds(job)
    ]
    for due, stopped in memory.stopped.by_purpose().items():
        counted = trained_pool or due.verb is not Verb.POOL
        result = _result(memory, state, due) if counted and is_finished(state, due) else None
        pods = pods_at_a_time(memory.spec, due.verb)
        besides.append((due.verb, untold_seconds(stopped, result, pods)))
    used = gpu_seconds(state, memory.spec, besides, trained_pool=trained_pool)
    used += memory.lost_gpu_seconds  # spent, although no record tells of it any more
    # A pod is there a little before its work begins, of which its result does not tell.
    memory.used_gpu_seconds = max(memory.used_gpu_seconds, used)
    return memory.used_gpu_seconds


def _result(memory: SearchMemory, state: SearchState, due: DueJob) -> Result | None:
    if due.verb is Verb.EVALUATE:
        return memory.stopped.trial_result(due.number)
    if due.verb is Verb.POOL:
        return state.pool[due.number]
    ending = state.ending
    return {
        Verb.PREPARE: state.prepare,
        Verb.BASE: state.base,
        Verb.FINETUNE: ending.finetune if ending else None,
        Verb.EXPORT: ending.export if ending else None,
    }[due.verb]


def _seconds(result: Result | None) -> float:
    return sum(result.seconds.values()) if result is not None else 0.0
