"""Estimate of the remaining time, from the durations of the latest trials."""

from bisect import bisect_left
from collections.abc import Iterable
from heapq import heapify, heapreplace
from math import ceil
from statistics import median

from detnas.ledger.summary import Summary
from detnas.lifecycle.reading.state import SearchState
from detnas.records.progress import Progress
from detnas.search.propose import budget
from detnas.spec.manifest import SearchSpec

_ENOUGH = 3
"""Finished trials required for an estimate: the first one also fills caches."""


def search_seconds_left(
    state: SearchState, spec: SearchSpec, running_jobs: Iterable[Progress | None]
) -> float | None:
    """Estimate the seconds until the last trial ends; None while too little is known.

    Before and after the trials it is the running jobs' own estimate.

    Args:
        state: of the search.
        spec: of the search.
        running_jobs: the latest progress of each job; None until it has written any.
    """
    running = [progress.seconds_left if progress else None for progress in running_jobs]
    trials_run = state.scorer is not None and state.end is None
    trials = budget(spec.search, spec.proposed_space)
    waiting = max(0, trials - state.trials) if trials_run else 0
    took = _typical_seconds(state.history.summary) if trials_run else None
    known = [took if own is None else own for own in running]
    left = [seconds for seconds in known if seconds is not None]
    if len(left) < len(known) or (waiting and took is None):
        return None
    if not waiting or took is None:
        return max(left, default=None)
    return until_last_trial(left, waiting, took, spec.search.parallelism)


def _typical_seconds(summary: Summary) -> float | None:
    """Return the median duration of recent trials, in seconds; None if there are too few."""
    if len(summary.durations) < _ENOUGH:
        return None
    return median(milliseconds for _, milliseconds in summary.durations) / 1000


def until_last_trial(running: list[float], waiting: int, took: float, parallelism: int) -> float:
    """Return when the last of the waiting trials ends, each begun as soon as another one ends.

    Args:
        running: seconds that each running trial still takes.
        waiting: trials that have not begun.
        took: seconds that each of them takes.
        parallelism: concurrent trials.
    """
    ends = sorted(running + [0.0] * (parallelism - len(running)))
    # Trials are not begun one by one: slots that are free sooner catch up with the last slot that
    # begins any, all slots together make complete rounds, and the rest is one each.
    catch_up, others = _until_all_take_part(ends, waiting, took)
    ends = [end + took * begun for end, begun in zip(ends, catch_up, strict=False)]
    rounds, rest = divmod(waiting - sum(catch_up), len(catch_up))
    ends = [end + took * rounds for end in ends]
    heapify(ends)
    for _ in range(rest):
        heapreplace(ends, ends[0] + took)
    return max(*ends, *others, 0.0)


def _until_all_take_part(
    ends: list[float], waiting: int, took: float
) -> tuple[list[int], list[float]]:
    """Return how many trials each slot begins before the last slot does, and when others end.

    Others are the slots that begin no trial.

    Args:
        ends: sorted, when each running trial ends.
        waiting: trials that have not begun; at least one.
        took: seconds that each of them takes.
    """

    def begun_before(index: int) -> list[int]:
        if took <= 0:
            return [0] * index
        return [ceil(min(waiting, (ends[index] - end) / took)) for end in ends[:index]]

    last = bisect_left(range(1, len(ends)), True, key=lambda i: sum(begun_before(i)) >= waiting)
    return [*begun_before(last), 0], ends[last + 1 :]
