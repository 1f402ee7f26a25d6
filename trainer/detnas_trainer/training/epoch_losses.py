"""The mean loss of each of the last epochs of a training."""

from collections.abc import Iterable

from detnas.schema import Count, Positive, Schema

_KEPT_EPOCHS = 8


class EpochLoss(Schema):
    """Total loss over the steps of one epoch."""

    epoch: Count
    steps: Positive
    total: float


class EpochLosses:
    """Adds up the loss of each of the last epochs."""

    def __init__(self, before: Iterable[EpochLoss] = ()) -> None:
        self._epochs = {one.epoch: (one.steps, one.total) for one in before}

    def add(self, epoch: int, loss: float) -> None:
        """Count one step's loss."""
        steps, total = self._epochs.get(epoch, (0, 0.0))
        self._epochs[epoch] = (steps + 1, total + loss)
        self._epochs = {one: self._epochs[one] for one in sorted(self._epochs)[-_KEPT_EPOCHS:]}

    def record(self) -> tuple[EpochLoss, ...]:
        """What a checkpoint keeps."""
        return tuple(
            EpochLoss(epoch=epoch, steps=steps, total=total)
            for epoch, (steps, total) in self._epochs.items()
        )

    def means(self) -> tuple[float, ...]:
        """Mean loss of each of the last epochs, oldest first."""
        return tuple(total / steps for steps, total in self._epochs.values())
