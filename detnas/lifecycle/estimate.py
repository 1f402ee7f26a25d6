"""How long the trials will still take, from how long trials took."""

from collections.abc import Iterable

from detnas.lifecycle.state import SearchState
from detnas.records.progress import Progress
from detnas.spec.manifest import SearchSpec


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
    own = [progress.seconds_left for progress in running_jobs if progress]
    running = max((seconds for seconds in own if seconds is not None), default=None)
    if state.facts is None or state.finished is not None:
        return running
    summary = state.history.summary
    if not summary.finished:
        return None
    took = summary.milliseconds / 1000 / summary.finished
    waiting = spec.search.trials - state.trials
    return waiting * took / spec.search.parallelism + (running or 0.0)
