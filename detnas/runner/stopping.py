"""Ctrl-C: once asks the run to stop where nothing is lost, twice ends it at once.

A third time does not even wait for a store that does not answer. A terminal that is closed asks
once, unless the run is to outlive it (`nohup`).
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_BREAKS_OFF = 3


class StopRequest:
    """Whether, and how urgently, the run is asked to stop.

    Attributes:
        signal: the first signal that asked.
        times: how often it was asked.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.times = 0

    def ask(self, number: int, _frame: FrameType | None = None) -> None:
        """Ask once more; from the third time on whatever is being done is broken off.

        Raises:
            KeyboardInterrupt: the third time.
        """
        self.signal = self.signal or signal.Signals(number)
        self.times += 1
        if self.times >= _BREAKS_OFF:
            raise KeyboardInterrupt


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within the block SIGINT, SIGTERM and SIGHUP ask to stop; works in the main thread only."""
    request = StopRequest()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = [signal.signal(number, request.ask) for number in numbers]
    try:
        yield request
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
