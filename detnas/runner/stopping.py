"""Ctrl-C: the first stops the run once nothing can be lost, the second ends it at once.

The third does not even wait for a store that does not answer. Closing the terminal counts as one,
unless the run is to outlive it (`nohup`).
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_INTERRUPTS = 3


class StopRequest:
    """Whether, and how urgently, the run is to stop.

    Attributes:
        signal: the first signal.
        times: number of signals.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.times = 0

    def request(self, number: int, _frame: FrameType | None = None) -> None:
        """Count a signal; from the third on, whatever is being done is interrupted.

        Raises:
            KeyboardInterrupt: the third time.
        """
        self.signal = self.signal or signal.Signals(number)
        self.times += 1
        if self.times >= _INTERRUPTS:
            raise KeyboardInterrupt


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Let SIGINT, SIGTERM and SIGHUP request a stop within the block; in the main thread only."""
    request = StopRequest()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = [signal.signal(number, request.request) for number in numbers]
    try:
        yield request
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
