"""Whether a server answers, found out once for all who would wait for it in vain."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from detnas.store.errors import StoreUnreachable

PAUSE_SECONDS = 10.0
"""After a request without an answer nobody asks for so long, and then one alone."""


class Reachability:
    """Remembers that a server did not answer; thread-safe.

    Each search would else find that out for itself, and hold a worker until its requests have
    timed out.

    Args:
        clock: seconds, rising.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._error: StoreUnreachable | None = None
        self._ask_again = 0.0

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask the server something in the block.

        Raises:
            StoreUnreachable: it did not answer, in the block or a moment ago.
        """
        self._let_one_ask()
        try:
            yield
        except StoreUnreachable as error:
            with self._lock:
                self._error, self._ask_again = error, self._clock() + PAUSE_SECONDS
            raise
        except Exception:
            self._error = None  # whatever it said, it is there
            raise
        self._error = None

    def _let_one_ask(self) -> None:
        with self._lock:
            if self._error is None:
                return
            if self._clock() < self._ask_again:
                raise StoreUnreachable(self._error.problem, self._error.remedy)
            self._ask_again = self._clock() + PAUSE_SECONDS
