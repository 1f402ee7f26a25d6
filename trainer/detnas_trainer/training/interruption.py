"""SIGTERM as a request to stop at the next safe place, and at the latest after a deadline."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from detnas.exit_codes import ExitCode

_PATIENCE = 90.0
"""Seconds in which to reach a safe place: less than a pod's usual grace period of 120."""


class Interrupted(Exception):  # noqa: N818 - not a failure
    """The job was asked to stop, and has stored what it needs to continue."""


def stop_seconds() -> float:
    """Seconds from being asked to stop until the process ends anyway."""
    return float(os.environ.get("DETNAS_STOP_SECONDS") or _PATIENCE)


class Interruption:
    """Whether this process was asked to stop.

    A step that never ends, or a store that does not answer, must not use up the time that is left
    before SIGKILL: when the patience ends, so does the process. Whatever it writes is complete or
    absent, so that only work since the last checkpoint is lost.
    """

    def __init__(self, patience: float | None = None) -> None:
        self.requested = False
        self._patience = stop_seconds() if patience is None else patience
        self._asked = threading.Event()
        self._over = threading.Event()

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
        # Started beforehand: starting a thread in a signal handler can deadlock.
        threading.Thread(target=self._end_anyhow, daemon=True).start()
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, previous)
            self._over.set()
            self._asked.set()

    def _request(self, _number: int, _frame: FrameType | None) -> None:
        if not self.requested:
            self.requested = True
            self._asked.set()

    def _end_anyhow(self) -> None:
        self._asked.wait()
        if not self._over.wait(self._patience):
            exit_now(f"asked to stop, and found no place to do so in {self._patience:.0f} s")


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Within the block, where there is nothing to save yet, SIGTERM ends the process with 75.

    The first process of a container would ignore it otherwise.
    """
    previous = signal.signal(signal.SIGTERM, lambda *_: exit_now("asked to stop"))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def exit_now(reason: str) -> None:
    """End the process now with exit code 75, and print the reason."""
    os.write(2, f"{reason}; leaving\n".encode())
    os._exit(ExitCode.INTERRUPTED)
