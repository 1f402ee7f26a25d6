"""Searches whose store hangs, or is slow, leave room for all the others."""

import random
from collections.abc import Callable

import pytest
from aiohttp import web

from detnas_operator.controller.health import MAX_STUCK_SECONDS
from detnas_operator.queue.schedule import Requeue, Schedule
from detnas_operator.tenant_store.stores import PATIENCE
from detnas_operator.tenant_store.time_limit import MAX_PASS_SECONDS
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.waiting import eventually
from tests.operator.harness.fixtures import MakeHarness

WORKERS = 4


@pytest.fixture
def schedule() -> Schedule[str]:
    return Schedule(300, random.Random(0), max_slow=2)


def slow(schedule: Schedule[str], *keys: str) -> None:
    for key in keys:
        schedule.add(key, 0)
        assert schedule.take(0) == key
        schedule.succeeded(key, 0, Requeue(), slow=True)


def test_schedule_leaves_workers_to_other_keys_than_slow_ones(schedule: Schedule[str]) -> None:
    slow(schedule, "a", "b", "c", "d")
    for key in "abcd":
        schedule.add(key, 1)
    schedule.add("quick", 2)
    assert [schedule.take(5) for _ in range(4)] == ["a", "b", "quick", None]
    assert schedule.next_due() == float("inf")
    schedule.failed("a", 6, None, slow=True)
    assert schedule.take(6) == "c"


def test_schedule_serves_a_slow_key_normally_after_a_quick_pass(schedule: Schedule[str]) -> None:
    slow(schedule, "a", "b", "c")
    for key in "abc":
        schedule.add(key, 1)
        assert schedule.take(1) == key
        schedule.succeeded(key, 1, Requeue(), slow=False)
    for key in "abc":
        schedule.add(key, 2)
    assert [schedule.take(2) for _ in "abc"] == ["a", "b", "c"]


def test_longest_pass_is_shorter_than_what_health_counts_as_stuck() -> None:
    longest_request = PATIENCE.attempts * (PATIENCE.connect + PATIENCE.read)
    assert MAX_PASS_SECONDS + 2 * longest_request < MAX_STUCK_SECONDS


class HangingProxy(FaultProxy):
    """Accepts a request whose path or query names `silent_for`, and never answers it."""

    silent_for = ""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self.silent_for and self.silent_for in request.raw_path:
            await self._closing.wait()  # or until the caller gives up
        return await super()._handle(request)


@pytest.mark.slow
def test_store_that_hangs_for_one_tenant_delays_no_other(
    make_harness: MakeHarness, namespaces: Callable[[], str]
) -> None:
    hung, other = namespaces(), namespaces()
    harness = make_harness(
        [hung, other],
        settings={"workers": WORKERS},
        environment={"AWS_MAX_ATTEMPTS": "1"},
        s3_proxy=HangingProxy,
    )
    assert isinstance(harness.s3, HangingProxy)
    harness.s3.silent_for = hung
    harness.operator.start()
    stuck, *_ = [harness.begin(f"hung-{n}", namespace=hung) for n in range(2 * WORKERS)]
    eventually(lambda: harness.operator.figure("detnas_queue_running") == WORKERS - 1)
    harness.begin("quick", namespace=other).until_phase("Succeeded")
    assert eventually(lambda: harness.operator.health()[0]) == 200
    stuck.until_condition("Degraded", "True", "StoreUnavailable")
    harness.s3.silent_for = ""
    stuck.until_condition("Accepted", "True")
