"""Advice on settings that do not fit the data, before the search and after no improvement."""

from collections.abc import Iterator, Sequence
from math import sqrt

from detnas.plan.dataset import Size, SplitFacts
from detnas.plan.planned_trainings import trial_training_field
from detnas.records.requests import PlannedTraining, PrepareRequest
from detnas.records.results import DetectorResult, PrepareResult
from detnas.records.settings import Resolution
from detnas.spec.manifest import SearchSpec

FEW_STEPS = 200
"""A trial of fewer steps may score its student before it has adapted."""

FEW_VALIDATION_IMAGES = 200
"""With fewer, mAP is uncertain by more than 3.5 points."""

FEW_TRIALS = 20
"""A search with fewer has tried little."""

_STILL_FALLING = 0.02
"""A larger share of the loss reduced in the last epoch means that training had not converged."""

_SMALLEST_STRIDE = 4
"""Pixels; of the FPN's first level, whose anchors are the smallest."""


def map_error(images: int) -> float:
    """Return roughly the error of mAP that follows from the number of validation images.

    A rule of thumb, not a measurement: the standard error of a proportion p over n images is
    √(p(1 - p)/n), at most 0.5/√n. It treats an image as one independent observation.

    Args:
        images: n, at least 1.

    Returns:
        One standard error, as a fraction.
    """
    return 0.5 / sqrt(images)


def counted(number: int, what: str) -> str:
    """Return a number with its noun, such as ``1 step`` or ``57 steps``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def fit_warnings(
    request: PrepareRequest, train: SplitFacts | None, val: SplitFacts | None
) -> tuple[str, ...]:
    """Return warnings where the manifest does not fit the data, a line each.

    Args:
        request: of the prepare job.
        train: of the training split; None if unknown.
        val: of the validation split; None if unknown.
    """
    found: list[str] = []
    if train is not None and train.images:
        for planned in request.trainings:
            found += _of_training(planned, train.images)
        found += _of_anchors(request, train)
    if val is not None and 0 < val.images < FEW_VALIDATION_IMAGES:
        found.append(_of_validation(val.images))
    return tuple(dict.fromkeys(found))


def _of_training(planned: PlannedTraining, images: int) -> Iterator[str]:
    training, field = planned.training, planned.field
    steps = training.iterations(images)
    if not steps:
        return
    if training.batch_size > images:
        yield (
            f"{field}.batchSize: a batch of {training.batch_size} is larger than the training set "
            f"of {counted(images, 'image')}, so that each step repeats images; lower it"
        )
    if training.warmup_iterations >= steps:
        yield (
            f"{field}.warmupIterations: {training.warmup_iterations}, but the whole training of "
            f"{planned.name} has {counted(steps, 'step')}, so its job will fail; lower it to "
            f"{steps // 10}, or raise the epochs"
        )
    if planned.is_trial and steps < FEW_STEPS:
        yield (
            f"{field}: {counted(training.epochs, 'epoch')} of {counted(images, 'image')} in "
            f"batches of {training.batch_size} are {counted(steps, 'step')} a trial, which may be "
            "too few for a student to adapt before it is scored; raise epochs or lower batchSize "
            f"until there are {FEW_STEPS}"
        )


def _of_validation(images: int) -> str:
    error, then = (100 * map_error(n) for n in (images, FEW_VALIDATION_IMAGES))
    return (
        f"spec.dataset.val: {counted(images, 'image')} can tell mAP only to about ±{error:.1f} "
        "points (one standard error, roughly 0.5/√images), so that a smaller gain may be chance; "
        f"add images: with {FEW_VALIDATION_IMAGES} it is ±{then:.1f}"
    )


def _of_anchors(request: PrepareRequest, train: SplitFacts) -> Iterator[str]:
    if request.anchor_scale is None or not train.largest_objects:
        return
    smallest = request.anchor_scale * _SMALLEST_STRIDE
    side, resolution = max(
        (
            (side * _scale(size, resolution), resolution)
            for resolution in request.resolutions
            for size, side in train.largest_objects.items()
        ),
        key=lambda found: found[0],
    )
    if side < smallest:
        yield (
            f"spec.detector.anchorScale: the smallest anchor, {request.anchor_scale} × "
            f"{_SMALLEST_STRIDE} = {smallest} pixels, is larger than every object: the largest "
            f"has {side:.1f} pixels at {resolution}; lower it to "
            f"{max(1, int(side // _SMALLEST_STRIDE))}, or add larger spec.resolutions"
        )


def _scale(size: Size, resolution: Resolution) -> float:
    """Factor that scales an image into a resolution, in either orientation."""
    width, height = size
    nominal = (resolution.width, resolution.height)
    return min(max(nominal) / max(width, height), min(nominal) / min(width, height))


def likely_causes(
    spec: SearchSpec, finished: int, prepared: PrepareResult | None, base: DetectorResult | None
) -> tuple[str, ...]:
    """Return what may have kept students from beating the base, each with the fields to change.

    A cause is named only if the records show it; older records may lack a figure.

    Args:
        spec: of the search.
        finished: trials that ended.
        prepared: result of the data check.
        base: the trained base.
    """
    return tuple(_causes(spec, finished, prepared, base))


def _causes(
    spec: SearchSpec, finished: int, prepared: PrepareResult | None, base: DetectorResult | None
) -> Iterator[str]:
    losses = base.loss_by_epoch if base else ()
    if spec.base.train is not None and spec.warm_start is None and still_falling(losses):
        yield (
            "the base was still learning when its schedule ended: its loss fell from "
            f"{losses[-2]:.3f} to {losses[-1]:.3f} in the last epoch; raise spec.base.train.epochs"
        )
    if prepared is not None and prepared.val is not None:
        images = prepared.val.images
        if 0 < images < FEW_VALIDATION_IMAGES:
            yield (
                f"{counted(images, 'validation image')} tell mAP only to about "
                f"±{100 * map_error(images):.1f} points; add images to spec.dataset.val"
            )
    if prepared is not None and prepared.train is not None and not spec.searches_pool:
        steps = spec.trial_training.iterations(prepared.train.images)
        if steps < FEW_STEPS:
            field = trial_training_field(spec)
            yield (
                f"a trial trains for {counted(steps, 'step')} only; raise {field}.epochs "
                f"or lower {field}.batchSize"
            )
    if finished < FEW_TRIALS:
        yield (
            f"only {counted(finished, 'trial')} finished; raise spec.search.trials"
            + (" and spec.search.patience" if _ended_early(spec, finished) else "")
        )


def _ended_early(spec: SearchSpec, finished: int) -> bool:
    """Whether patience can have ended the search."""
    return spec.search.has_patience and finished < spec.search.trials


def still_falling(losses: Sequence[float]) -> bool:
    """Return whether a training was still learning when it ended.

    Args:
        losses: mean loss of each epoch, oldest first.

    Returns:
        The last epoch's loss is the lowest, and clearly below that of the epoch before.
    """
    return (
        len(losses) > 1
        and losses[-1] <= min(losses)
        and losses[-1] < (1 - _STILL_FALLING) * losses[-2]
    )
