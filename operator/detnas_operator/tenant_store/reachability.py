"""Remembers that a server does not answer, so that not every search waits for it in vain."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from detnas.store.errors import StoreUnreachable

PAUSE_SECONDS = 10.0
"""Seconds without requests after one that was not answered; then a single one is sent."""


class Reachability:
    """Remembers that a server did not answer; thread-safe.

    Otherwise each search would find that out by itself, and occupy a worker until its requests
    have timed out.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._error: StoreUnreachable | None = None
        self._retry_at = 0.0

    @contextmanager
    def request(self) -> Iterator[None]:
        """Guard a request to the server, made in the block.

        Raises:
            StoreUnreachable: it did not answer, in the block or a moment ago.
        """
        self._admit_one()
        try:
            yield
        except StoreUnreachable as error:
            with self._lock:
                self._error, self._retry_at = error, self._clock() + PAUSE_SECONDS
            raise
        except Exception:
            self._error = None  # it answered, whatever the answer
            raise
        self._error = None

    def _admit_one(self) -> None:
        with self._lock:
            if self._error is None:
                return
            if self._clock() < self._retry_at:
                raise StoreUnreachable(self._error.problem, self._error.remedy)
            self._retry_at = self._clock() + PAUSE_SECONDS
