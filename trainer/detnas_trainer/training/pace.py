"""How fast work goes at present: from the last seconds, and not from how it began."""

from collections import deque
from collections.abc import Sequence

_SLICE_SECONDS = 1.0
"""Work that is done within so long is one measurement: a machine's hiccups are shorter."""

_ENOUGH = 8
"""Measurements without which nothing is said."""

_WINDOW = 16

_STEADY = 3.0
"""Ratio of two halves of the window, beyond which the pace has changed between them."""


class Pace:
    """Seconds per unit of work, over a window of the latest work.

    The first work that is reported only starts the clock: it warms caches and allocators. Of the
    window's measurements the quarter that took longest and the quarter that took shortest are left
    out, so that a pause is no pace. Once the newer half differs much from the older one, the older
    one is forgotten.
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
        """Seconds that a unit takes at present; none while too little was measured."""
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
    """Mean of the middle half."""
    cut = len(values) // 4
    middle = sorted(values)[cut : len(values) - cut]
    return sum(middle) / len(middle)
