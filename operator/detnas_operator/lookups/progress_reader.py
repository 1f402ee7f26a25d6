"""Reads the progress of running jobs outside of the passes, so that none waits for it."""

import heapq
import itertools
import logging
import random
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from detnas.lifecycle.attempts import Attempts, read_attempts
from detnas.store import Store
from detnas.store.errors import StoreError
from detnas_operator.cluster.searches import SearchKey
from detnas_operator.job_state.stalled import MAX_READ_PAUSE_SECONDS, ProgressReading
from detnas_operator.tenant_store.time_limit import at_most

log = logging.getLogger(__name__)

_JITTER = 0.25
_MAX_FIRST_PAUSE_SECONDS = 1.0
"""Seconds within which a job that has just begun to run is read for the first time."""
_READ_SECONDS = 30.0
THREADS = 8


@dataclass(slots=True, eq=False)
class _Job:
    key: SearchKey
    store: Store
    folder: str
    reading: ProgressReading | None = None
    dropped: bool = False


class ProgressReader:
    """Reads the progress of all searches' running jobs, on a few threads of its own.

    Args:
        seconds: between two reads of a job, unless `MAX_READ_PAUSE_SECONDS` is less.
        wake: requests a pass over a search.
        clock: monotonic clock, in seconds.
        draws: random numbers for the jitter.
    """

    def __init__(
        self,
        seconds: float,
        wake: Callable[[SearchKey], None] = lambda _key: None,
        clock: Callable[[], float] = time.monotonic,
        draws: random.Random | None = None,
    ) -> None:
        self._wake = wake
        self._pause = min(seconds, MAX_READ_PAUSE_SECONDS)
        self._clock = clock
        self._draws = draws or random.Random()
        self._searches: dict[SearchKey, dict[str, _Job]] = {}
        self._due: list[tuple[float, int, _Job]] = []
        self._numbers = itertools.count()
        self._news = threading.Condition()
        self._threads: list[threading.Thread] = []

    def follow(self, key: SearchKey, store: Store, folders: Collection[str]) -> None:
        """Read these jobs of a search from now on, and no others of it.

        Args:
            key: of the search.
            store: where they are stored.
            folders: keys of their folders.
        """
        with self._news:
            jobs = self._searches.setdefault(key, {})
            for folder in set(jobs).difference(folders):
                jobs.pop(folder).dropped = True
            for folder in folders:
                if folder in jobs:
                    jobs[folder].store = store
                    continue
                job = jobs[folder] = _Job(key, store, folder)
                self._put(job, self._draws.uniform(0.0, min(_MAX_FIRST_PAUSE_SECONDS, self._pause)))
            if not jobs:
                del self._searches[key]
            self._start_threads()

    def readings(self, key: SearchKey) -> Mapping[str, ProgressReading]:
        """Return what a search's running jobs have written, by folder, as last read."""
        with self._news:
            jobs = self._searches.get(key, {})
            return {folder: job.reading for folder, job in jobs.items() if job.reading is not None}

    def forget(self, key: SearchKey) -> None:
        """Stop reading a search's progress."""
        with self._news:
            for job in self._searches.pop(key, {}).values():
                job.dropped = True

    def _start_threads(self) -> None:
        while self._searches and len(self._threads) < THREADS:
            thread = threading.Thread(target=self._serve, name="progress", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _put(self, job: _Job, after: float) -> None:
        heapq.heappush(self._due, (self._clock() + after, next(self._numbers), job))
        self._news.notify()

    def _serve(self) -> None:
        while True:
            job = self._take()
            try:
                with at_most(_READ_SECONDS):
                    self._read(job)
            except StoreError as error:  # a pass that needs the store reports it
                log.debug("cannot read the progress in %s: %s", job.folder, error)
            except Exception:
                log.exception("cannot read the progress in %s", job.folder)
            with self._news:
                if not job.dropped:
                    self._put(job, self._pause * self._draws.uniform(1.0 - _JITTER, 1.0))

    def _take(self) -> _Job:
        with self._news:
            while True:
                while self._due and self._due[0][2].dropped:
                    heapq.heappop(self._due)
                left = self._due[0][0] - self._clock() if self._due else None
                if left is not None and left <= 0:
                    return heapq.heappop(self._due)[2]
                self._news.wait(left)

    def _read(self, job: _Job) -> None:
        attempts, now, before = read_attempts(job.store, job.folder), self._clock(), job.reading
        if before is None:
            job.reading = ProgressReading(attempts, now, now, now)
        else:
            job.reading = before.then(attempts, now)
        if self._is_first(job) if before is None else _is_news(before.attempts, attempts):
            self._wake(job.key)

    def _is_first(self, job: _Job) -> bool:
        """Whether all running jobs of its search have been read just now for the first time."""
        with self._news:
            jobs = self._searches.get(job.key)
            return jobs is not None and all(job.reading for job in jobs.values())


def _is_news(before: Attempts, now: Attempts) -> bool:
    """Whether a change requires a pass at once; mere progress does not."""
    if replace(before, progress=None) != replace(now, progress=None):
        return True
    return (before.progress is None) != (now.progress is None)
