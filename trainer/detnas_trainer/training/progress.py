"""What a running job says of itself: `progress.json` for programs, log lines for people."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from detnas.records.progress import Progress
from detnas.store import Store
from detnas.store.artifacts import put_record
from detnas.store.errors import StoreUnavailable
from detnas_trainer.training.pace import Pace

_EVALUATION_STEP = 1 / 3
"""A pixel costs about a third in evaluation of what it costs in training: no backward pass."""

log = logging.getLogger("detnas_trainer")


@dataclass
class Workload:
    """What a job has still to train on and to evaluate, and how fast that goes.

    Work is counted in pixels: an image's cost grows with the resolution it is seen at.

    Attributes:
        training: pixels left to train on.
        evaluating: pixels left to evaluate.
        training_pace: seconds per pixel of training.
        evaluating_pace: seconds per pixel of evaluation.
    """

    training: float = 0.0
    evaluating: float = 0.0
    training_pace: Pace = field(default_factory=Pace)
    evaluating_pace: Pace = field(default_factory=Pace)

    def seconds_left(self) -> float | None:
        """Estimate for the whole job; none while too little was measured."""
        training = self.training_pace.seconds_per_unit
        evaluating = self.evaluating_pace.seconds_per_unit
        if evaluating is None and training is not None:
            evaluating = training * _EVALUATION_STEP
        if evaluating is None or (training is None and self.training):
            return None
        return self.training * (training or 0.0) + self.evaluating * evaluating


class ProgressReporter:
    """Writes progress and a log line, at most every few seconds.

    Args:
        store: where the job lies.
        key: of the attempt's progress record.
        clock: seconds, monotonic.
        interval: seconds between two reports.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        clock: Callable[[], float],
        interval: float = 3.0,
    ) -> None:
        self._store = store
        self._key = key
        self._clock = clock
        self._interval = interval
        self._last: float | None = None

    def report(self, progress: Progress, **details: object) -> None:
        """Write where the job is, unless it was written a moment ago.

        Args:
            progress: what to write.
            details: more for the log line.
        """
        seconds = self._clock()
        if self._last is not None and seconds - self._last < self._interval:
            return
        self._last = seconds
        log.info("%s", describe(progress, **details))
        try:
            put_record(self._store, self._key, progress)
        except StoreUnavailable as error:  # progress is for people: work goes on without
            log.warning("progress not written: %s", error)


def describe(progress: Progress, **details: object) -> str:
    """One line: activity, epoch, steps, loss, whatever else there is, and the time left."""
    parts = [progress.activity]
    if progress.epoch:
        parts.append(f"epoch {progress.epoch}/{progress.epochs}")
    if progress.total:
        parts.append(f"{progress.done}/{progress.total}")
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.4f}")
    parts += [f"{name.replace('_', ' ')} {value}" for name, value in details.items()]
    if progress.seconds_left is not None:
        parts.append(f"{progress.seconds_left:.0f} s left")
    return "  ".join(parts)
