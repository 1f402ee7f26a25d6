"""The speed of a search's devices, from the records of what it has finished."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median, quantiles

from detnas.forecast.devices import Devices
from detnas.forecast.speed import MEASURED, SCORING, Speed
from detnas.forecast.spread import Spread
from detnas.forecast.work import JobWork
from detnas.records.results import DetectorResult, Outcome, Result
from detnas.records.verbs import Verb

_ENOUGH = 5
"""Jobs of a kind whose own spread is taken."""

_FEW = Spread(low=0.75, expected=1.0, high=1.35)
"""Spread of a kind with fewer jobs, if no kind has enough: load of the machine, luck."""

_DECILES = 10


@dataclass(frozen=True)
class PastJob:
    """A finished job, with the work that it was.

    Attributes:
        work: as planned.
        seconds: that it took, over all attempts.
    """

    work: JobWork
    seconds: float


def past_jobs(
    work: Iterable[JobWork], results: Mapping[tuple[Verb, int], Iterable[Result]]
) -> tuple[PastJob, ...]:
    """Return the jobs that ended with success.

    Args:
        work: of the search.
        results: of its jobs, by kind and number of the pool's phase, else 0.
    """
    return tuple(
        PastJob(one, sum(result.seconds.values()))
        for one in work
        for result in results.get((one.verb, one.number), ())
        if result.outcome is Outcome.SUCCEEDED and result.seconds
    )


def past_speed(
    base: JobWork, result: DetectorResult, jobs: Iterable[PastJob], on: Devices
) -> Speed:
    """Return the speed that a search's records show, for each kind of job.

    Args:
        base: work of its base.
        result: of that.
        jobs: that it has finished.
        on: what they ran on.
    """
    speedup = on.share(Verb.BASE).speedup
    seconds = result.seconds
    scoring = seconds["evaluating"] * speedup / base.scored
    training = seconds.get("training", 0.0)
    step = training * speedup / base.trained if base.trained and training else scoring / SCORING
    around = sum(seconds.values()) - training - seconds["evaluating"]
    plain = Speed(step=step, scoring=scoring, around=around, spread=MEASURED)
    return Speed(
        step=step,
        scoring=scoring,
        around=around,
        spread=MEASURED,
        of_kinds=_of_kinds(jobs, plain, on),
    )


def _of_kinds(jobs: Iterable[PastJob], speed: Speed, on: Devices) -> dict[Verb, Spread]:
    """What jobs of a kind took, over what the base's speed predicts."""
    taken = defaultdict[Verb, list[tuple[float, float]]](list)
    for job in jobs:
        verb = job.work.verb
        taken[verb].append((job.seconds, speed.seconds(job.work, on.share(verb).speedup)))
    many = {verb: _quantiles(pairs) for verb, pairs in taken.items() if len(pairs) >= _ENOUGH}
    usual = _FEW
    if trials := next((many[verb] for verb in many if verb.is_trial), None):
        usual = trials * (1 / trials.expected)
    few = {
        verb: usual * (sum(real for real, _ in pairs) / sum(planned for _, planned in pairs))
        for verb, pairs in taken.items()
        if verb not in many
    }
    return {**few, **many}


def _quantiles(pairs: list[tuple[float, float]]) -> Spread:
    """First decile, median and last decile."""
    ratios = [real / planned for real, planned in pairs]
    cuts = quantiles(ratios, n=_DECILES, method="inclusive")
    return Spread(low=cuts[0], expected=median(ratios), high=cuts[-1])
