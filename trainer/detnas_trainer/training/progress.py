"""What a running job reports: progress.json for programs, log lines for people."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from detnas.records.progress import Progress
from detnas.store import Store
from detnas.store.artifacts import put_record
from detnas.store.errors import StoreError

HEARTBEAT_SECONDS = 10
"""Longest time between two writes of the progress record while the process lives."""

log = logging.getLogger("detnas_trainer")


class ProgressReporter:
    """Writes progress and a log line, at most every few seconds, and a heartbeat in between.

    Args:
        store: where the job is stored.
        key: of the attempt's progress record.
        clock: seconds, monotonic.
        interval: seconds between two reports.
        activity: names what the job does now, for phases in which nothing is reported.
        pause: seconds without a report until the heartbeat writes.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        clock: Callable[[], float],
        interval: float = 3.0,
        activity: Callable[[], str] = lambda: "starting",
        pause: float = HEARTBEAT_SECONDS / 2,
    ) -> None:
        self._store = store
        self._key = key
        self._clock = clock
        self._interval = interval
        self._activity = activity
        self._pause = pause
        self._last: float | None = None
        self._progress: Progress | None = None
        self._reported_in = ""
        self._written: float | None = None
        self._writing = threading.Lock()

    def report(self, progress: Progress, **details: object) -> None:
        """Write the progress, unless it was written a moment ago."""
        seconds = self._clock()
        if self._last is not None and seconds - self._last < self._interval:
            return
        self._last = seconds
        log.info("%s", describe(progress, **details))
        self._progress, self._reported_in = progress, self._activity()
        self._write(progress)

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Within the block, write the record again at least every `HEARTBEAT_SECONDS`.

        A thread does, so that the record is renewed also while the process loads data, evaluates,
        or waits for a store. Whether the work itself progresses is shown by its steps.
        """
        over = threading.Event()

        def run() -> None:
            while not over.wait(self._pause):
                self.beat()

        self.beat()
        thread = threading.Thread(target=run, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(HEARTBEAT_SECONDS)

    def beat(self) -> None:
        """Write the current progress, unless it was written a moment ago."""
        if self._written is None or self._clock() - self._written >= self._pause:
            self._write(self._now())

    def _now(self) -> Progress:
        """What was reported last, unless the job has begun something else since."""
        now, activity, last = datetime.now(UTC), self._activity(), self._progress
        if last is not None and activity == self._reported_in:
            return last.model_copy(update={"updated": now})
        left = last.seconds_left if last is not None else None
        return Progress(activity=activity, seconds_left=left, updated=now)

    def _write(self, progress: Progress) -> None:
        if not self._writing.acquire(blocking=False):
            return  # the other thread writes just now, and this one does not wait for the store
        try:
            record = progress.model_copy(update={"heartbeat": HEARTBEAT_SECONDS})
            put_record(self._store, self._key, record)
        except StoreError as error:  # progress is for people: work continues without
            log.warning("progress not written: %s", error)
        finally:
            self._written = self._clock()
            self._writing.release()


def describe(progress: Progress, **details: object) -> str:
    """One line: activity, epoch, steps, loss, whatever else there is, and the time left."""
    parts = [progress.activity]
    if progress.epoch:
        parts.append(f"epoch {progress.epoch}/{progress.epochs}")
    if progress.total:
        parts.append(f"{progress.done}/{progress.total}")
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.4f}")
    parts += [f"{name.replace('_', ' ')} {value}" for name, value in details.items()]
    if progress.seconds_left is not None:
        parts.append(f"{progress.seconds_left:.0f} s left")
    return "  ".join(parts)
