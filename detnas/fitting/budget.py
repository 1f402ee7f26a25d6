"""How long each training is, so that a search ends within the hours that there are.

The paper trains a base for 24 epochs of COCO's 118,000 images, a trial for three. What a detector
needs are steps: on few images they take more epochs. Wanted are the paper's epochs or a number of
steps that suffices on small data sets, whichever is more; if that takes too long, base, pool and
fine-tuning are shortened together, and trials are fewer, until it fits.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import fmean

from detnas.architecture import Architecture
from detnas.cost import detector_costs
from detnas.fitting.machine import (
    GUESSED_GPU_SECONDS_PER_MEGAPIXEL,
    GUESSED_SECONDS_PER_MEGAPIXEL,
    Machine,
)
from detnas.own_data.facts import DataFacts
from detnas.records.settings import DetectorShape, Resolution
from detnas.spec.teachers import Teachers

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

_LINEAGE = 5
"""Trials between the base and the best student, as a guess."""

_FORWARD = 1 / 3
"""Of a training step is the forward pass."""

_LOSSES = 0.3
"""What distillation losses add to a step, over a plain one."""

_SCORING = 1.5 * _FORWARD
"""An image's evaluation at one size: forward, suppression, metrics."""

_JOB_SECONDS = 8.0
"""Of a job besides its images: start, loading, checkpoints, records."""

_SHARED = 0.6
"""What each further thread adds to one that trains alone."""


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
class Costs:
    """Seconds that one worker takes for an image.

    Attributes:
        step: of a plain training step.
        supernet: of one of the supernet.
        subnet: of one of a subnet under the supernet.
        student: of one of a student under a teacher.
        scoring: of an evaluation at every resolution.
    """

    step: float
    supernet: float
    subnet: float
    student: float
    scoring: float


def batches(machine: Machine, facts: DataFacts) -> Batches:
    """Return the images of a step: the paper's on a large data set and a GPU, else fewer."""
    images = facts.training_images
    few = max(1, min(8, images // 4))
    if not machine.gpus:
        return Batches(few, few, max(1, few // 2))
    if images < _MANY:
        return Batches(few, few, min(4, few))
    return Batches(16, 16 * len(machine.gpus), 4)


def costs(
    base: Architecture,
    teachers: Teachers,
    shape: DetectorShape,
    classes: int,
    sizes: tuple[Resolution, ...],
    machine: Machine,
) -> Costs:
    """Return seconds for an image, from the measured step and the FLOPs of each detector."""
    flops = [
        fmean(
            one.flops
            for one in detector_costs(
                architecture, shape.model_copy(update={"neck": neck}), classes, sizes
            ).values()
        )
        for architecture, neck in (
            (base, shape.neck),
            *(
                (teachers.supernet.architecture(one), teachers.supernet.neck_width(one))
                for one in (teachers.space.largest, teachers.space.smallest)
            ),
        )
    ]
    largest, smallest = (one / flops[0] for one in flops[1:])
    middle = (largest + smallest) / 2
    step = machine.seconds_per_image or guessed_seconds(machine, sizes)
    return Costs(
        step=step,
        supernet=step * largest,
        subnet=step * (middle + _FORWARD * largest + _LOSSES),
        student=step * (1 + _FORWARD * middle + _LOSSES),
        scoring=step * _SCORING * len(sizes),
    )


def guessed_seconds(machine: Machine, sizes: tuple[Resolution, ...]) -> float:
    """Return seconds of a training step for an image where none was measured."""
    guess = GUESSED_GPU_SECONDS_PER_MEGAPIXEL if machine.gpus else GUESSED_SECONDS_PER_MEGAPIXEL
    return guess * fmean(size.pixels for size in sizes) / 1e6


def fitted_lengths(
    facts: DataFacts, machine: Machine, each: Costs, batch: Batches, hours: float
) -> Lengths:
    """Return the longest trainings and most trials that fit the hours, or the shortest of all.

    Args:
        facts: of the data set.
        machine: that runs the search.
        each: seconds for an image.
        batch: images of a step.
        hours: that the search may take.
    """
    found = list(_candidates(facts, machine, each, batch))
    fitting = [one for one in found if one.seconds <= MARGIN * 3600 * hours]
    return fitting[0] if fitting else min(found, key=lambda one: one.seconds)


def _candidates(
    facts: DataFacts, machine: Machine, each: Costs, batch: Batches
) -> Iterator[Lengths]:
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
            yield replace(lengths, seconds=predicted_seconds(facts.images, machine, each, lengths))


def enough_epochs(facts: DataFacts, batch: Batches) -> int:
    """Return epochs of the base beyond which it is not trained, whatever the hours."""
    return max(PAPER_BASE_EPOCHS, _epochs(BASE_STEPS, facts.training_images, batch.base))


def _between(most: float, least: float, share: float) -> float:
    """From most to least by equal factors."""
    return float(most * (least / most) ** share)


def _epochs(steps: float, images: int, batch: int) -> int:
    """Epochs that have at least so many steps."""
    return max(1, -(-int(steps * batch) // images))


def predicted_seconds(
    images: Mapping[str, int], machine: Machine, each: Costs, lengths: Lengths
) -> float:
    """Return an estimate of a search's duration.

    Args:
        images: number of images of each split.
        machine: that runs it, alone.
        each: seconds for an image.
        lengths: of its trainings.
    """
    training, workers = images["train"], machine.workers
    scoring = each.scoring * images["val"]
    pool = each.supernet * lengths.pool[0] + each.subnet * sum(lengths.pool[1:])
    alone = training * (each.step * lengths.base + pool + each.student * lengths.finetune)
    together = 1.0 if machine.gpus else 1 + _SHARED * (machine.processors - 1)
    trial = training * each.student * lengths.trial + scoring + _JOB_SECONDS
    seconds = alone / together + lengths.trials * trial / workers
    if lengths.compared:
        trained_on = _LINEAGE * lengths.trial + lengths.finetune
        seconds += training * each.step * trained_on + scoring
    tests = each.scoring * images.get("test", 0) * 2
    return seconds + 3 * scoring + tests + 10 * _JOB_SECONDS
