"""Why a search may have found nothing better than its base: likely causes seen in its records."""

from collections.abc import Iterator, Sequence

from detnas.plan.fit import FEW_STEPS, FEW_VALIDATION_IMAGES, counted, map_error
from detnas.records.results import DetectorResult, PrepareResult
from detnas.spec.manifest import SearchSpec

FEW_TRIALS = 20
"""A search with fewer has tried little."""

_STILL_FALLING = 0.02
"""Share of the loss that the last epoch took off: more, and training had not converged."""


def likely_causes(
    spec: SearchSpec, finished: int, prepared: PrepareResult | None, base: DetectorResult | None
) -> tuple[str, ...]:
    """Return what may have kept students from beating the base, each with the fields to change.

    A cause is named only where the records show it: an older record that lacks a figure names
    none.

    Args:
        spec: of the search.
        finished: trials that ended.
        prepared: what the data set holds.
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
    if prepared is not None and prepared.train is not None:
        steps = spec.evaluation.training.steps(prepared.train.images)
        if steps < FEW_STEPS:
            yield (
                f"a trial trains for {counted(steps, 'step')} only; raise spec.evaluation.epochs "
                "or lower spec.evaluation.batchSize"
            )
    if finished < FEW_TRIALS:
        yield (
            f"only {counted(finished, 'trial')} finished; raise spec.search.trials"
            + (" and spec.search.patience" if finished < spec.search.trials else "")
        )


def still_falling(losses: Sequence[float]) -> bool:
    """Whether a training was still learning when it ended.

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
