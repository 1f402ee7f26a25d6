"""A search in a store as the source of a forecast: its speed, and the size of its data set."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from detnas.errors import UserError
from detnas.forecast.devices import Devices
from detnas.forecast.past import PastJob, past_jobs, past_speed
from detnas.forecast.search_forecast import DataSize, search_loads
from detnas.forecast.speed import Speed
from detnas.forecast.trainings import trainings_of
from detnas.forecast.work import search_work
from detnas.ledger.trials import load_trial
from detnas.lifecycle.reading.state import SearchReader, SearchState
from detnas.lifecycle.record import StoredSearch
from detnas.records.results import PrepareResult, Result
from detnas.records.verbs import Verb
from detnas.store.in_parallel import in_parallel

_LATEST_TRIALS = 100
"""Whose results are read."""


@dataclass(frozen=True)
class PastSearch:
    """What a search has shown.

    Attributes:
        data: size of its data set.
        speed: of one of its devices.
        basis: what the speed comes from, for people.
    """

    data: DataSize
    speed: Speed
    basis: str


def past_search(search: StoredSearch, devices: Devices) -> PastSearch:
    """Read what a search has shown.

    Args:
        search: it has begun.
        devices: that it ran on.

    Raises:
        UserError: it has not trained or scored its base.
    """
    spec = search.requests.spec
    state = SearchReader(search.store, search.requests).read()
    data = _size(state.prepare) if state.prepare is not None else None
    known = state.base is not None and state.base.seconds.get("evaluating")
    if state.base is None or not known or data is None or not data.images.get("val"):
        raise UserError(
            f"{search.uri} has no result of its base yet, so it shows no speed",
            "name a search that has trained its base",
        )
    work = search_work(trainings_of(spec), search_loads(spec, data.classes), data.images)
    base = next(one for one in work if one.verb is Verb.BASE)
    results = defaultdict[tuple[Verb, int], list[Result]](list)
    for verb, number, result in _results(search, state):
        results[verb, number].append(result)
    jobs = past_jobs(work, results)
    speed = past_speed(base, state.base, jobs, devices)
    return PastSearch(data, speed, f"the records of {search.uri}: {_counts(jobs)}")


def _size(prepared: PrepareResult) -> DataSize:
    splits = {"train": prepared.train, "val": prepared.val, "test": prepared.test}
    images = {name: split.images for name, split in splits.items() if split is not None}
    return DataSize(images, len(prepared.classes))


def _results(search: StoredSearch, state: SearchState) -> Iterator[tuple[Verb, int, Result]]:
    """Results with their kind, and the number of the pool's phase."""
    assert state.base is not None
    yield Verb.BASE, 0, state.base
    for number, phase in enumerate(state.pool):
        yield Verb.POOL, number, phase
    last = state.history.summary.next_index
    folder = search.requests.search

    def result_of(index: int) -> Result | None:
        trial = load_trial(search.store, folder, index)
        return None if trial is None else trial.result

    if not search.requests.spec.searches_pool:
        numbers = range(max(0, last - _LATEST_TRIALS), last)
        for result in in_parallel(result_of, list(numbers)):
            if result is not None:
                yield Verb.EVALUATE, 0, result
    for job in state.final_stages.jobs if state.final_stages else ():
        if job.result is not None:
            yield job.verb, 0, job.result


def _counts(jobs: tuple[PastJob, ...]) -> str:
    """How many of each kind, for people."""
    names: dict[Verb, Callable[[int], str]] = {
        Verb.BASE: lambda _: "base",
        Verb.POOL: lambda n: f"{n} phase{'s' * (n > 1)} of the pool",
        Verb.EVALUATE: lambda n: f"{n} trial{'s' * (n > 1)}",
        Verb.FINETUNE: lambda n: f"{n} fine-tuning{'s' * (n > 1)}",
        Verb.BASELINE: lambda n: f"{n} baseline{'s' * (n > 1)}",
    }
    counted = {verb: sum(job.work.verb is verb for job in jobs) for verb in names}
    return ", ".join(names[verb](count) for verb, count in counted.items() if count)
