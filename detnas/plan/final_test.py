"""The test: which detectors are scored on the test images, and what their scores mean."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from detnas.plan.winner import TrainedDetector, scored_detector
from detnas.records.results import FinalTestResult, Score
from detnas.records.settings import Resolution
from detnas.score import Scorer


@dataclass(frozen=True, slots=True)
class Contestant:
    """A detector that is scored on the test images.

    Attributes:
        detector: which.
        resolutions: where; the first was chosen on the validation images.
    """

    detector: TrainedDetector
    resolutions: tuple[Resolution, ...]


def contestants(
    base: TrainedDetector, winner: TrainedDetector, others: Iterable[TrainedDetector]
) -> tuple[Contestant, ...]:
    """Return what is scored: the base, the winner, and the others, each once.

    Each is scored where its validation H is highest; the base also where the winner's is.
    """
    found = {base.name: Contestant(base, _distinct(base.resolution, winner.resolution))}
    for one in (winner, *others):
        found.setdefault(one.name, Contestant(one, (one.resolution,)))
    return tuple(found.values())


Tested = Mapping[str, tuple[TrainedDetector, ...]]
"""Detectors as measured on the test images, by name, once at each resolution."""


def tested(scorer: Scorer, contestants: Iterable[Contestant], result: FinalTestResult) -> Tested:
    """Return the detectors as measured on the test images, with their H there.

    Args:
        scorer: scores them against the base.
        contestants: as requested.
        result: of the test.
    """
    scores = {one.name: one.scores for one in result.detectors}
    return {
        one.detector.name: tuple(
            _at(scorer, one.detector, score) for score in scores[one.detector.name]
        )
        for one in contestants
        if scores.get(one.detector.name)
    }


def _at(scorer: Scorer, detector: TrainedDetector, score: Score) -> TrainedDetector:
    latencies = {one.resolution: one.latency for one in detector.result.scores}
    measured = score.model_copy(update={"latency": latencies.get(score.resolution)})
    here = detector.result.model_copy(update={"scores": (measured,)})
    return scored_detector(scorer, replace(detector, result=here))


def _distinct(*resolutions: Resolution) -> tuple[Resolution, ...]:
    return tuple(dict.fromkeys(resolutions))
