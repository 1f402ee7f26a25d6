"""Where a job's wall time goes."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager


class Activities:
    """Seconds by activity; every moment belongs to exactly one, the innermost.

    Args:
        clock: seconds, monotonic.
        first: what the job does outside every block.
    """

    def __init__(self, clock: Callable[[], float], first: str = "starting") -> None:
        self._clock = clock
        self._stack = [first]
        self._since = clock()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def activity(self, name: str) -> Iterator[None]:
        """Count the block's time under ``name``, less what blocks inside it count."""
        self._settle()
        self._stack.append(name)
        try:
            yield
        finally:
            self._settle()
            self._stack.pop()

    @property
    def current(self) -> str:
        """The innermost activity under way; readable from any thread."""
        return self._stack[-1]

    def add(self, seconds: Mapping[str, float]) -> None:
        """Count time that an earlier attempt spent."""
        for name, spent in seconds.items():
            self._seconds[name] = self._seconds.get(name, 0.0) + spent

    def seconds(self) -> dict[str, float]:
        """Seconds by activity until now, in the order they began."""
        self._settle()
        return dict(self._seconds)

    def _settle(self) -> None:
        now = self._clock()
        name = self._stack[-1]
        self._seconds[name] = self._seconds.get(name, 0.0) + now - self._since
        self._since = now
