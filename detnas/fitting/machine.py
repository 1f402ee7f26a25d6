"""The machine that a manifest is fitted to."""

from dataclasses import dataclass

GUESSED_SECONDS_PER_MEGAPIXEL = 4.0
"""Of a training step of the thin detector with one thread: a guess, for machines not measured."""

GUESSED_GPU_SECONDS_PER_MEGAPIXEL = 0.05
"""Of a training step of ResNet-18 on a GPU; likewise."""


@dataclass(frozen=True)
class Machine:
    """What computes.

    Attributes:
        processors: that may be used.
        gpus: name of each.
        seconds_per_image: measured, of a training step of the detector in question at the mean of
            its sizes, with one thread or one GPU; None if it was not measured.
    """

    processors: int
    gpus: tuple[str, ...] = ()
    seconds_per_image: float | None = None

    @property
    def workers(self) -> int:
        """Trials that it can run concurrently."""
        return len(self.gpus) or min(self.processors, 8)

    @property
    def name(self) -> str:
        """For people."""
        if self.gpus:
            return f"{len(self.gpus)} × {self.gpus[0]}"
        return f"{self.processors} processor{'s' * (self.processors > 1)} without a GPU"
