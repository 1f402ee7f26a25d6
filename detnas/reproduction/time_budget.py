"""How long the searches of a plan will take that are still to run, from one measured step."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from detnas.errors import UserError
from detnas.forecast.devices import on_machine
from detnas.forecast.forecast import time_forecast
from detnas.forecast.search_forecast import search_loads
from detnas.forecast.speed import timed_speed
from detnas.forecast.trainings import Trainings, trainings_of
from detnas.forecast.work import search_work
from detnas.plan.dataset import data_root
from detnas.plan.digests import pool_digest
from detnas.processors import processors, requested_threads
from detnas.records.look import LookAnswer, LookRequest, TimedStep
from detnas.reproduction.searches import FolderSearch
from detnas.runner.trainer_look import ask_trainer, has_trainer
from detnas.spec.manifest import SearchSpec


@dataclass(frozen=True, slots=True)
class TimeBudget:
    """What is left to run.

    Attributes:
        machine: that was measured, for people.
        seconds_per_image: measured, of a training step of the base.
        seconds: estimate for each search, all its seeds together, by its name.
        seeds: how many of them, by its name.
    """

    machine: str
    seconds_per_image: float
    seconds: Mapping[str, float]
    seeds: Mapping[str, int]


def time_budget(left: Iterable[tuple[FolderSearch, int]]) -> TimeBudget:
    """Measure a training step of the first search's base, and count what all of them train.

    Searches of an equal pool train it once. What an interrupted search has finished is not known
    here and counts as if it were left.

    Args:
        left: searches with their seeds, in the order in which they run; at least one.

    Raises:
        UserError: there is no trainer, it failed, or the annotations cannot be read.
    """
    runs = [*left]
    first = runs[0][0]
    images, classes = _counted(first)
    timed = _timed_step(first.manifest.spec, classes)
    speed = timed_speed(timed.seconds_per_image, search_loads(first.manifest.spec, classes).base)
    seconds: dict[str, float] = {}
    seeds: dict[str, int] = {}
    pools: set[str] = set()
    for search, _ in runs:
        spec = search.manifest.spec
        pool = pool_digest(spec, data_digest="")
        trained = spec.teachers.pool is not None or pool in pools
        pools.add(pool)
        trainings = planned_trainings(search, pool_is_trained=trained)
        work = search_work(trainings, search_loads(spec, classes), images)
        devices = on_machine(spec, processors(), len(timed.gpus), requested_threads())
        taken = time_forecast(work, speed, devices).wall_seconds.expected
        seconds[search.name] = seconds.get(search.name, 0.0) + taken
        seeds[search.name] = seeds.get(search.name, 0) + 1
    return TimeBudget(devices.name, timed.seconds_per_image, seconds, seeds)


def planned_trainings(search: FolderSearch, *, pool_is_trained: bool) -> Trainings:
    """Return the trainings that are left to a search.

    Args:
        search: of a plan's folder.
        pool_is_trained: by an earlier search, so that this one takes it.
    """
    trainings = trainings_of(search.manifest.spec)
    if search.base_of is not None:
        trainings = replace(trainings, base=0)
    return replace(trainings, pool=()) if pool_is_trained else trainings


def _counted(search: FolderSearch) -> tuple[dict[str, int], int]:
    """Images of each split, and classes."""
    dataset = search.manifest.spec.dataset
    root = Path(data_root(dataset.source, search.path.parent))
    files = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    images, classes = {}, 1
    for split, name in files.items():
        if name is None:
            continue
        try:
            document = json.loads((root / name).read_bytes())
            images[split] = len(document["images"])
            classes = max(classes, len(document["categories"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{root / name} cannot be read: {error}", "make the data set") from None
    return images, classes


def _timed_step(spec: SearchSpec, classes: int) -> LookAnswer:
    if not has_trainer():
        raise UserError("there is no trainer to measure", "install detnas[trainer]")
    step = TimedStep(
        architecture=spec.base.resolve(),
        detector=spec.detector,
        classes=classes,
        resolutions=spec.resolutions,
        batch=8 if spec.base.train is None else spec.base.train.batch_size,
    )
    return ask_trainer(LookRequest(on_cpu=step, on_gpu=step), lambda *_: None)
