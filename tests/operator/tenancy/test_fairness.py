"""Searches whose store hangs, or is slow, leave room for all the others."""

from collections.abc import Callable

import pytest
from aiohttp import web

from detnas_operator.controller.health import MAX_STUCK_SECONDS
from detnas_operator.tenant_store.stores import PATIENCE
from detnas_operator.tenant_store.time_limit import MAX_PASS_SECONDS
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.waiting import eventually
from tests.operator.harness.fixtures import MakeHarness

WORKERS = 4


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
