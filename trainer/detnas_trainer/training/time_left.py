"""Estimates how long a job will still take, from what is left and the pace of the latest work."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

_SLICE_SECONDS = 1.0
"""Work done within this time is one measurement: random pauses are shorter."""

_ENOUGH = 8
"""Fewest measurements for an estimate."""

_WINDOW = 16

_STEADY = 3.0
"""Ratio of two halves of the window, beyond which the pace has changed between them."""


class Pace:
    """Seconds per unit of work, over a window of the latest work.

    The first work that is reported only starts the clock: it warms caches and allocators. Of the
    window's measurements the quarter that took longest and the quarter that took shortest are left
    out, so that a pause does not count. Once the newer half differs much from the older one, the
    older one is forgotten.
    """

    def __init__(self) -> None:
        self._measured: deque[float] = deque(maxlen=_WINDOW)
        self._since: float | None = None
        self._done = 0.0

    def interrupted(self) -> None:
        """Note that other work comes in between: its time does not count."""
        self._since = None

    def advanced(self, work: float, now: float) -> None:
        """Note work that is done.

        Args:
            work: units done since this was called last, above 0.
            now: seconds, monotonic.
        """
        if self._since is None:
            self._since, self._done = now, 0.0
            return
        self._done += work
        if now - self._since < _SLICE_SECONDS:
            return
        self._measured.append((now - self._since) / self._done)
        self._since, self._done = now, 0.0
        self._forget_another_pace()

    @property
    def seconds_per_unit(self) -> float | None:
        """Seconds that a unit takes at present; None while too little was measured."""
        return _middle(self._measured) if len(self._measured) >= _ENOUGH else None

    def _forget_another_pace(self) -> None:
        if len(self._measured) < _ENOUGH:
            return
        half = len(self._measured) // 2
        older, newer = list(self._measured)[:half], list(self._measured)[half:]
        before, after = _middle(older), _middle(newer)
        if max(before, after) > _STEADY * min(before, after):
            for _ in older:
                self._measured.popleft()


def _middle(values: Sequence[float]) -> float:
    cut = len(values) // 4
    middle = sorted(values)[cut : len(values) - cut]
    return sum(middle) / len(middle)


_EVALUATION_STEP = 1 / 3
"""A pixel costs about a third in evaluation of what it costs in training: no backward pass."""


@dataclass
class RemainingWork:
    """What a job still has to train on and to evaluate, and the time that takes.

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
        """Estimate for the entire job; None while too little was measured."""
        training = self.training_pace.seconds_per_unit
        evaluating = self.evaluating_pace.seconds_per_unit
        if evaluating is None and training is not None:
            evaluating = training * _EVALUATION_STEP
        if evaluating is None or (training is None and self.training):
            return None
        return self.training * (training or 0.0) + self.evaluating * evaluating
