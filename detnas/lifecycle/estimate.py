"""How long the trials will still take, from how long trials took."""

from collections.abc import Iterable
from statistics import mean

from detnas.lifecycle.state import SearchState
from detnas.records.progress import Progress
from detnas.spec.manifest import SearchSpec

_RECENT = 20


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
    loose = state.history.loose
    took = [loose[index].seconds for index in sorted(loose)[-_RECENT:]]
    if not took:
        return None
    waiting = spec.search.trials - state.trials
    return waiting * mean(took) / spec.search.parallelism + (running or 0.0)
