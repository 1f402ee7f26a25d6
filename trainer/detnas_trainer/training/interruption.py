"""SIGTERM as a request to stop at the next safe place."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(Exception):  # noqa: N818 - not a failure
    """The job was asked to stop and has left what it needs to go on."""


class Interruption:
    """Whether this process was asked to stop."""

    def __init__(self) -> None:
        self.requested = False

    def check(self) -> None:
        """Stop here, at a place where nothing would be lost.

        Raises:
            Interrupted: the process was asked to stop.
        """
        if self.requested:
            raise Interrupted

    @contextmanager
    def on_sigterm(self) -> Iterator[None]:
        """Within the block SIGTERM asks to stop; works in the main thread only."""
        previous = signal.signal(signal.SIGTERM, self._request)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, previous)

    def _request(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
