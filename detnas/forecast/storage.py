"""Bytes that a search keeps in its store, and those that it needs while it runs."""

from collections.abc import Mapping

from detnas.cost import detector_cost
from detnas.forecast.spread import Spread, exactly, total
from detnas.forecast.trainings import Trainings
from detnas.schema import Schema
from detnas.spec.manifest import SearchSpec

_WEIGHT = 4
"""Bytes of a parameter."""

_CHECKPOINT = 4
"""Weights and momentum, twice: a checkpoint is deleted when the next one is complete."""

_JOB_RECORDS = 40_000
"""Bytes of a job's request, result, log and entry in the ledger."""

_DETECTIONS = 8_000
"""Bytes of an image's detections, of one detector; at most 100 are kept."""

_PAGES = 6_000_000
"""Bytes of the report and of the exported folder beside its weights."""

_SMALLER = Spread(low=0.4, expected=0.75, high=1.05)
"""Parameters of a student over the base's."""

_FRONT_OF_A_SIZE = 1
"""Trials on the Pareto front for each resolution that are not among the best, at most."""


class StorageForecast(Schema):
    """Bytes in the store.

    Attributes:
        kept: when the search has ended; its pool counts as its own.
        running: in addition while it runs, for checkpoints.
    """

    kept: Spread
    running: Spread


def storage_forecast(
    spec: SearchSpec, trainings: Trainings, classes: int, images: Mapping[str, int]
) -> StorageForecast:
    """Return what a search stores.

    Args:
        spec: of the search.
        trainings: that it runs.
        classes: of the data set, without background.
        images: number of images of each split, by name.
    """
    base = _parameters(spec, classes) * _WEIGHT
    supernet = _supernet_parameters(spec, classes) * _WEIGHT
    students = _kept_trials(spec) + exactly(trainings.finetuned + trainings.baselines)
    exported = 1 + trainings.files
    jobs = trainings.trials + len(trainings.pool) + trainings.finetuned + 5
    detections = images.get("test", 0) * 4 + images.get("val", 0)
    kept = total(
        [
            exactly(base + supernet * len(trainings.pool)),
            _SMALLER * base * (students + exactly(exported)),
            Spread(low=0.5, expected=1.0, high=1.5) * (jobs * _JOB_RECORDS + _PAGES),
            Spread(low=0.1, expected=0.5, high=1.0) * (detections * _DETECTIONS),
        ]
    )
    largest = max(supernet + base if trainings.pool else base, base * spec.search.parallelism)
    running = Spread(low=0.5, expected=1.0, high=1.0) * (_CHECKPOINT * largest)
    return StorageForecast(kept=kept, running=running)


def _kept_trials(spec: SearchSpec) -> Spread:
    """Number of trials whose weights remain."""
    trials = spec.search.trials
    if spec.searches_pool:
        return exactly(1)
    if spec.retention.weights == "All":
        return exactly(trials)
    best = min(trials, spec.search.max_parents)
    front = best + _FRONT_OF_A_SIZE * len(spec.resolutions)
    return Spread(low=best, expected=min(trials, (best + front) / 2), high=min(trials, front))


def _parameters(spec: SearchSpec, classes: int) -> int:
    architecture, size = spec.base.resolve(), spec.base_resolution
    return detector_cost(architecture, spec.detector, classes, size).parameters


def _supernet_parameters(spec: SearchSpec, classes: int) -> int:
    teachers = spec.teachers
    largest = teachers.space.largest
    shape = spec.detector.model_copy(update={"neck": teachers.supernet.neck_width(largest)})
    architecture = teachers.supernet.architecture(largest)
    return detector_cost(architecture, shape, classes, spec.base_resolution).parameters
