"""How long each training is, so that a search ends within the hours that there are.

The paper trains a base for 24 epochs of COCO's 118,000 images, a trial for three. What a detector
needs are steps: on few images they take more epochs. Wanted are the paper's epochs or a number of
steps that suffices on small data sets, whichever is more; if that takes too long, base, pool and
fine-tuning are shortened together, and trials are fewer, until it fits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import fmean

from detnas.fitting.detectors import Chosen
from detnas.fitting.machine import (
    GUESSED_GPU_SECONDS_PER_MEGAPIXEL,
    GUESSED_SECONDS_PER_MEGAPIXEL,
    Machine,
)
from detnas.forecast.devices import Devices, on_gpus, on_processors
from detnas.forecast.forecast import time_forecast
from detnas.forecast.speed import GUESSED, MEASURED, Speed, timed_speed
from detnas.forecast.trainings import Trainings
from detnas.forecast.work import Loads, loads, search_work
from detnas.own_data.facts import DataFacts
from detnas.records.settings import DetectorShape, Resolution
from detnas.records.verbs import Verb

PAPER_BASE_EPOCHS, PAPER_TRIAL_EPOCHS, PAPER_TRIALS = 24, 3, 100

BASE_STEPS = 6000
"""Steps after which a base is trained well on a small data set."""

LEAST_BASE_STEPS = 750
"""Steps below which a base that starts from nothing finds too little for a search to compare."""

TRIAL_STEPS = 200
"""Steps that a student needs to adapt; `detnas validate` warns of fewer."""

LEAST_TRIALS = 12

MARGIN = 0.7
"""Share of the hours that is planned: estimates err, and machines do other work, too."""

_MANY = 2000
"""Training images from which a GPU takes the paper's batches."""

_GRADES = 24
"""Steps from what is wanted to the least, each shorter by the same factor."""

_SHRINKING = (1 / 6, 1 / 3)
FINETUNING = 0.3
"""Lengths of the pool's later phases and of the fine-tuning over that of the base."""


@dataclass(frozen=True)
class Batches:
    """Images of a step.

    Attributes:
        base: of base, pool and fine-tuning.
        pool: of the pool.
        trial: of a trial.
    """

    base: int
    pool: int
    trial: int


@dataclass(frozen=True)
class Lengths:
    """Epochs and trials.

    Attributes:
        base: epochs of the base.
        pool: epochs of the pool's phases.
        trial: epochs of a trial.
        finetune: epochs of the fine-tuning.
        trials: their number.
        compared: whether the base is trained on for as long, as a comparison.
        seconds: estimate of the entire search.
    """

    base: int
    pool: tuple[int, ...]
    trial: int
    finetune: int
    trials: int
    compared: bool
    seconds: float


@dataclass(frozen=True)
class Pace:
    """What the searches that are considered take.

    Attributes:
        load: FLOPs of their detectors.
        speed: of the machine.
        devices: that their jobs have.
    """

    load: Loads
    speed: Speed
    devices: Devices


def batches(machine: Machine, facts: DataFacts) -> Batches:
    """Return the images of a step: the paper's on a large data set and a GPU, else fewer."""
    images = facts.training_images
    few = max(1, min(8, images // 4))
    if not machine.gpus:
        return Batches(few, few, max(1, few // 2))
    if images < _MANY:
        return Batches(few, few, min(4, few))
    return Batches(16, 16 * len(machine.gpus), 4)


def pace(
    chosen: Chosen,
    shape: DetectorShape,
    classes: int,
    sizes: tuple[Resolution, ...],
    machine: Machine,
) -> Pace:
    """Return what searches with a base take on a machine, from the step timed there or a guess."""
    load = loads(chosen.architecture, shape, classes, sizes, chosen.teachers)
    timed = machine.seconds_per_image
    seconds = guessed_seconds(machine, sizes) if timed is None else timed
    speed = timed_speed(seconds, load.base, GUESSED if timed is None else MEASURED)
    return Pace(load, speed, _devices(machine))


def _devices(machine: Machine) -> Devices:
    def at_once(verb: Verb) -> int:
        return 1 if verb in (Verb.FINETUNE, Verb.BASELINE) else machine.workers

    if machine.gpus:
        return on_gpus(len(machine.gpus), at_once, lambda _: 1)
    return on_processors(machine.processors, at_once)


def guessed_seconds(machine: Machine, sizes: tuple[Resolution, ...]) -> float:
    """Return seconds of a training step for an image where none was measured."""
    guess = GUESSED_GPU_SECONDS_PER_MEGAPIXEL if machine.gpus else GUESSED_SECONDS_PER_MEGAPIXEL
    return guess * fmean(size.pixels for size in sizes) / 1e6


def fitted_lengths(facts: DataFacts, each: Pace, batch: Batches, hours: float) -> Lengths:
    """Return the longest trainings and most trials that fit the hours, or the shortest of all.

    Args:
        facts: of the data set.
        each: what searches take.
        batch: images of a step.
        hours: that the search may take.
    """
    found = list(_candidates(facts, each, batch))
    fitting = [one for one in found if one.seconds <= MARGIN * 3600 * hours]
    return fitting[0] if fitting else min(found, key=lambda one: one.seconds)


def _candidates(facts: DataFacts, each: Pace, batch: Batches) -> Iterator[Lengths]:
    """Yield what is wanted, then less and less of it."""
    images = facts.training_images
    enough = enough_epochs(facts, batch)
    trial = max(PAPER_TRIAL_EPOCHS, _epochs(TRIAL_STEPS, images, batch.trial))
    least = min(enough, _epochs(LEAST_BASE_STEPS, images, batch.base))
    for grade in range(_GRADES + 1):
        base = round(_between(enough, least, grade / _GRADES))
        trials = round(_between(PAPER_TRIALS, LEAST_TRIALS, grade / _GRADES))
        pool = (base, *(max(1, round(base * share)) for share in _SHRINKING))
        finetune = max(1, round(base * FINETUNING))
        for compared in (True, False):
            lengths = Lengths(base, pool, trial, finetune, trials, compared, seconds=0.0)
            yield replace(lengths, seconds=predicted_seconds(facts, each, lengths))


def enough_epochs(facts: DataFacts, batch: Batches) -> int:
    """Return epochs of the base beyond which it is not trained, whatever the hours."""
    return max(PAPER_BASE_EPOCHS, _epochs(BASE_STEPS, facts.training_images, batch.base))


def _between(most: float, least: float, share: float) -> float:
    """From most to least by equal factors."""
    return float(most * (least / most) ** share)


def _epochs(steps: float, images: int, batch: int) -> int:
    """Epochs that have at least so many steps."""
    return max(1, -(-int(steps * batch) // images))


def predicted_seconds(facts: DataFacts, each: Pace, lengths: Lengths) -> float:
    """Return an estimate of a search's duration.

    Args:
        facts: of the data set.
        each: what searches take.
        lengths: of its trainings.
    """
    trainings = Trainings(
        base=lengths.base,
        pool=lengths.pool,
        trial=lengths.trial,
        trials=lengths.trials,
        finetune=lengths.finetune,
        finetuned=1,
        baselines=int(lengths.compared),
    )
    work = search_work(trainings, each.load, facts.images)
    return time_forecast(work, each.speed, each.devices).wall_seconds.expected
