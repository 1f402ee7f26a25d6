"""Passes over keys: one at a time for a key, several keys concurrently, never losing one."""

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic

from detnas_operator.queue.schedule import Requeue, Schedule
from detnas_operator.queue.turns import Key

LOOP_SECONDS = 1.0
"""The loop runs at least this often: an older heartbeat means that the event loop is stuck."""
_POLL_SECONDS = 0.05
SLOW_SECONDS = 5.0
"""Keys whose last pass took longer have at most half of the workers."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """The queue's figures; times in seconds.

    Attributes:
        keys: that are known.
        depth: keys that are due and wait for a worker.
        oldest_wait: of these keys.
        running: running passes.
        oldest_pass: duration of the longest of them so far.
        heartbeat_age: since the loop last ran; infinity before it first does.
    """

    keys: int
    depth: int
    oldest_wait: float
    running: int
    oldest_pass: float
    heartbeat_age: float


def _ignore(_key: object, _seconds: float, _error: Exception | None) -> None:
    """Do nothing after a pass."""


class WorkQueue(Generic[Key]):
    """Runs ``work(key)`` for every key enqueued, on threads of its own.

    At most one pass per key runs at a time; an event during a pass makes another one due after it.
    A pass that raises is repeated after 1 s, doubling to 60 s, with jitter, and not before the
    error's ``retry_after`` (seconds) if it has one; an event may end a backoff early, but never
    within 1 s of a failure nor before ``retry_after``. Success resets the backoff. Urgent keys come
    before others. Groups of keys take turns, and none has all workers; keys whose last pass took
    long leave half of the workers to the others.
    """

    def __init__(
        self,
        work: Callable[[Key], Requeue],
        *,
        workers: int,
        resync: float,
        on_pass: Callable[[Key, float, Exception | None], None] = _ignore,
        group: Callable[[Key], Hashable] = lambda key: key,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a queue that does nothing yet.

        Args:
            work: a pass; may block, on a thread of the queue.
            workers: concurrent passes.
            resync: seconds, ± 20 %, after which a key is due without events.
            on_pass: called after every pass, on its thread: key, seconds, and its error or None.
            group: of a key: groups take turns. By default each key is a group of its own.
        """
        self._work = work
        self._workers = workers
        self._on_pass = on_pass
        self._clock = clock
        self._lock = threading.Lock()
        self._schedule: Schedule[Key] = Schedule(
            resync,
            random.Random(),
            max_slow=max(1, workers // 2),
            group=group,
            max_of_group=max(1, workers - 1),
        )
        self._running: dict[Key, float] = {}
        self._stopping = False
        self._loop_ran: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._awake: asyncio.Event | None = None
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="pass")

    def enqueue(self, key: Key, *, urgent: bool = True) -> None:
        """Request a pass over ``key``, before others if it is urgent; from any thread."""
        with self._lock:
            self._schedule.add(key, self._clock(), urgent=urgent)
        self._wake()

    async def run(self) -> None:
        """Serve until ``stop``; must run on one event loop, which it never blocks."""
        self._awake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        while not self._stopping:
            self._awake.clear()
            pause = self._dispatch()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):  # no task of its own, as wait_for would make
                    await self._awake.wait()

    async def stop(self, grace: float) -> bool:
        """Take no more keys and wait up to ``grace`` seconds; return whether all passes ended."""
        self._stopping = True
        self._wake()
        deadline = self._clock() + grace
        while self._running and self._clock() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
        self._threads.shutdown(wait=False, cancel_futures=True)
        return not self._running

    def state(self) -> QueueState:
        """Return the queue's figures; from any thread."""
        with self._lock:
            now = self._clock()
            waits = self._schedule.waiting(now)
            return QueueState(
                keys=len(self._schedule),
                depth=len(waits),
                oldest_wait=max(waits, default=0.0),
                running=len(self._running),
                oldest_pass=max((now - s for s in self._running.values()), default=0.0),
                heartbeat_age=now - self._loop_ran if self._loop_ran is not None else float("inf"),
            )

    def _dispatch(self) -> float:
        """Start what is due, and return after how many seconds there may be more to start."""
        with self._lock:
            now = self._loop_ran = self._clock()
            while not self._stopping and len(self._running) < self._workers:
                key = self._schedule.take(now)
                if key is None:
                    return max(0.0, min(LOOP_SECONDS, self._schedule.next_due() - now))
                self._running[key] = now
                self._threads.submit(self._pass, key)
            return LOOP_SECONDS  # every worker is busy: the first to end wakes the loop

    def _pass(self, key: Key) -> None:
        started, error, requeue = self._clock(), None, Requeue()
        try:
            requeue = self._work(key)
        except Exception as raised:  # noqa: BLE001 (whatever it is, the key must be tried again)
            error = raised
        with self._lock:
            now = self._clock()
            slow = now - started > SLOW_SECONDS
            if error is None:
                self._schedule.succeeded(key, now, requeue, slow=slow)
            else:
                retry_after = getattr(error, "retry_after", None)
                self._schedule.failed(key, now, retry_after, slow=slow)
            del self._running[key]
        self._wake()
        self._on_pass(key, now - started, error)

    def _wake(self) -> None:
        if self._loop is not None and self._awake is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._awake.set)
