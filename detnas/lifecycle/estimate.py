"""How long the trials will still take, from how long the latest ones took."""

from collections.abc import Iterable
from heapq import heapify, heapreplace
from statistics import median

from detnas.lifecycle.state import SearchState
from detnas.records.progress import Progress
from detnas.search.summary import Summary
from detnas.spec.manifest import SearchSpec

_ENOUGH = 3
"""Finished trials without which nothing is said: the first one also fills caches."""


def search_seconds_left(
    state: SearchState, spec: SearchSpec, running_jobs: Iterable[Progress | None]
) -> float | None:
    """Estimate the seconds until the last trial ends; none while too little is known.

    Before and after the trials it is what the running jobs say of themselves.

    Args:
        state: where the search stands.
        spec: what it is told.
        running_jobs: what each job said last; none before it said anything.
    """
    running = [progress.seconds_left if progress else None for progress in running_jobs]
    trials_run = state.facts is not None and state.finished is None
    waiting = max(0, spec.search.trials - state.trials) if trials_run else 0
    took = _typical_seconds(state.history.summary) if trials_run else None
    known = [took if own is None else own for own in running]
    left = [seconds for seconds in known if seconds is not None]
    if len(left) < len(known) or (waiting and took is None):
        return None
    if not waiting or took is None:
        return max(left, default=None)
    return _until_last(left, waiting, took, spec.search.parallelism)


def _typical_seconds(summary: Summary) -> float | None:
    """Return what a trial takes at present; one that hung or failed at once does not count much."""
    if len(summary.durations) < _ENOUGH:
        return None
    return median(milliseconds for _, milliseconds in summary.durations) / 1000


def _until_last(running: list[float], waiting: int, took: float, parallelism: int) -> float:
    """Return when the last of the waiting trials ends, each begun as soon as another one ends.

    Args:
        running: seconds that each running trial still takes.
        waiting: trials that have not begun.
        took: seconds that each of them takes.
        parallelism: trials at the same time.
    """
    ends = running + [0.0] * (parallelism - len(running))
    heapify(ends)
    for _ in range(waiting):
        heapreplace(ends, ends[0] + took)
    return max(ends)
