"""What a running job reports: progress.json for programs, log lines for people."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from detnas.records.progress import Progress
from detnas.store import Store
from detnas.store.artifacts import put_record
from detnas.store.errors import StoreError

_SLICE_SECONDS = 1.0
"""Work done within this time is one measurement: random pauses are shorter."""

_ENOUGH = 8
"""Fewest measurements for an estimate."""

_WINDOW = 16

_STEADY = 3.0
"""Ratio of two halves of the window, beyond which the pace has changed between them."""


class Pace:
    """Seconds per unit of work, over a window of the latest work.

    The first work that is reported only starts the clock: it warms caches and allocators. Of the
    window's measurements the quarter that took longest and the quarter that took shortest are left
    out, so that a pause does not count. Once the newer half differs much from the older one, the
    older one is forgotten.
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
        """Seconds that a unit takes at present; None while too little was measured."""
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
    cut = len(values) // 4
    middle = sorted(values)[cut : len(values) - cut]
    return sum(middle) / len(middle)


_EVALUATION_STEP = 1 / 3
"""A pixel costs about a third in evaluation of what it costs in training: no backward pass."""

HEARTBEAT_SECONDS = 10
"""Longest time between two writes of the progress record while the process lives."""

log = logging.getLogger("detnas_trainer")


@dataclass
class Workload:
    """What a job still has to train on and to evaluate, and at what pace.

    Work is counted in pixels: an image's cost grows with the resolution it is seen at.

    Attributes:
        training: pixels left to train on.
        evaluating: pixels left to evaluate.
        training_pace: seconds per pixel of training.
        evaluating_pace: seconds per pixel of evaluation.
    """

    training: float = 0.0
    evaluating: float = 0.0
    training_pace: Pace = field(default_factory=Pace)
    evaluating_pace: Pace = field(default_factory=Pace)

    def seconds_left(self) -> float | None:
        """Estimate for the entire job; None while too little was measured."""
        training = self.training_pace.seconds_per_unit
        evaluating = self.evaluating_pace.seconds_per_unit
        if evaluating is None and training is not None:
            evaluating = training * _EVALUATION_STEP
        if evaluating is None or (training is None and self.training):
            return None
        return self.training * (training or 0.0) + self.evaluating * evaluating


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
