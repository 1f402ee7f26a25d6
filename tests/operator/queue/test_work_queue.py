"""The queue on real threads: what it starts, what it never starts, and how it ends."""

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from detnas_operator.queue.schedule import Requeue
from detnas_operator.queue.work_queue import WorkQueue


class OverloadError(Exception):
    retry_after = 1.5


@asynccontextmanager
async def serving(queue: WorkQueue) -> AsyncIterator[None]:
    task = asyncio.create_task(queue.run())
    try:
        yield
    finally:
        await queue.stop(5)
        await task


async def eventually(holds: Callable[[], object], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        await asyncio.sleep(0.005)


def test_queue_follows_each_change_with_a_pass_and_never_overlaps_passes_of_a_key() -> None:
    lock = threading.Lock()
    inside: Counter[int] = Counter()
    wanted: Counter[int] = Counter()
    seen: Counter[int] = Counter()

    def work(key: int) -> Requeue:
        with lock:
            inside[key] += 1
            assert inside[key] == 1
            now = wanted[key]
        time.sleep(0.002)
        with lock:
            seen[key] = now
            inside[key] -= 1
        return Requeue()

    async def scenario() -> None:
        queue: WorkQueue[int] = WorkQueue(work, workers=4, resync=300)

        def change(start: int) -> None:
            for number in range(200):
                key = (start + number) % 7
                with lock:
                    wanted[key] += 1
                queue.enqueue(key)
                time.sleep(0.0005)

        async with serving(queue):
            await asyncio.gather(*(asyncio.to_thread(change, s) for s in range(3)))
            await eventually(lambda: seen == wanted)
        assert sum(wanted.values()) == 600

    asyncio.run(scenario())


def test_queue_serves_keys_enqueued_before_it_runs() -> None:
    done: list[str] = []

    def work(key: str) -> Requeue:
        done.append(key)
        return Requeue()

    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue(work, workers=1, resync=300)
        queue.enqueue("a")
        async with serving(queue):
            await eventually(lambda: done)

    asyncio.run(scenario())


def test_queue_serves_other_keys_during_a_slow_pass() -> None:
    release, done = threading.Event(), []

    def work(key: str) -> Requeue:
        if key == "slow":
            release.wait(10)
        done.append(key)
        return Requeue()

    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue(work, workers=2, resync=300)
        async with serving(queue):
            queue.enqueue("slow")
            await eventually(lambda: queue.state().running == 1)
            for key in "abc":
                queue.enqueue(key)
            await eventually(lambda: sorted(done) == ["a", "b", "c"])
            assert queue.state().oldest_pass > 0
            await eventually(lambda: queue.state().heartbeat_age < 1.5)
            release.set()
            await eventually(lambda: "slow" in done)

    asyncio.run(scenario())


def test_queue_counts_keys_that_wait_for_a_worker() -> None:
    release = threading.Event()

    def work(_: str) -> Requeue:
        release.wait(10)
        return Requeue()

    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue(work, workers=1, resync=300)
        async with serving(queue):
            queue.enqueue("first")
            await eventually(lambda: queue.state().running == 1)
            queue.enqueue("second")
            await asyncio.sleep(0.05)
            state = queue.state()
            assert (state.depth, state.keys) == (1, 2)
            assert state.oldest_wait >= 0.04
            release.set()
            await eventually(lambda: queue.state().depth == 0)

    asyncio.run(scenario())


def test_queue_retries_a_failed_pass_after_the_servers_delay() -> None:
    passes: list[tuple[float, Exception | None]] = []

    def work(_: str) -> Requeue:
        if len(passes) < 2:
            raise OverloadError
        return Requeue()

    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue(
            work,
            workers=1,
            resync=300,
            on_pass=lambda _k, _s, error: passes.append((time.monotonic(), error)),
        )
        async with serving(queue):
            queue.enqueue("a")
            await eventually(lambda: len(passes) == 3)
        assert [type(error) for _, error in passes] == [OverloadError, OverloadError, type(None)]
        assert passes[1][0] - passes[0][0] >= 1.5  # the back-off alone would be 1.2 s at most

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("again", "resync", "pause"), [(Requeue(after=0.1), 300, 0.1), (Requeue(), 0.4, 0.3)]
)
def test_queue_requeues_after_the_passs_delay_and_at_the_resync(
    again: Requeue, resync: float, pause: float
) -> None:
    times: list[float] = []

    def work(_: str) -> Requeue:
        times.append(time.monotonic())
        return again

    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue(work, workers=1, resync=resync)
        async with serving(queue):
            queue.enqueue("a")
            await eventually(lambda: len(times) == 3)
        assert min(later - before for before, later in itertools.pairwise(times)) >= pause

    asyncio.run(scenario())


@pytest.mark.parametrize("hangs", [False, True], ids=["ends", "hangs"])
def test_queue_stop_takes_no_more_keys_and_returns_whether_passes_ended(hangs: bool) -> None:
    release, started, later = threading.Event(), threading.Event(), []

    def work(key: str) -> Requeue:
        if key == "later":
            later.append(key)
        started.set()
        release.wait(60)
        return Requeue()

    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue(work, workers=1, resync=300)
        task = asyncio.create_task(queue.run())
        queue.enqueue("now")
        await asyncio.to_thread(started.wait)
        queue.enqueue("later")
        if not hangs:
            asyncio.get_running_loop().call_later(0.1, release.set)
        before = time.monotonic()
        assert await queue.stop(0.5 if hangs else 30) is not hangs
        assert time.monotonic() - before < 30  # the pass that hangs would take a minute
        await asyncio.wait_for(task, 30)
        release.set()

    asyncio.run(scenario())
    assert not later


def test_queue_heartbeat_ages_while_the_event_loop_is_stuck() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue(lambda _: Requeue(), workers=1, resync=300)
        assert queue.state().heartbeat_age == float("inf")
        async with serving(queue):
            await eventually(lambda: queue.state().heartbeat_age < 1)
            time.sleep(0.3)  # this is the fault
            assert queue.state().heartbeat_age >= 0.3

    asyncio.run(scenario())
