"""Searches whose store hangs, or is slow, leave room for all the others."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from detnas_operator.controller.health import OLDEST_PASS
from detnas_operator.queue.schedule import Requeue, Schedule
from detnas_operator.tenant_store.stores import PATIENCE
from detnas_operator.tenant_store.time_limit import LONGEST_PASS
from tests.cluster.control_plane import ControlPlane
from tests.cluster.installation import install
from tests.cluster.operator_process import OperatorProcess
from tests.cluster.pods import Behaviour, PodPlayer
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.scripts import Scripts, succeeds
from tests.cluster.waiting import eventually
from tests.operator.tenancy.hanging_proxy import HangingProxy
from tests.operator.tenancy.scene import apply, wait_until_over, wait_until_said
from tests.seaweed import S3Server

WORKERS = 4


@pytest.fixture
def schedule() -> Schedule[str]:
    return Schedule(300, random.Random(0), most_slow=2)


def slow(schedule: Schedule[str], *keys: str) -> None:
    for key in keys:
        schedule.add(key, 0)
        assert schedule.take(0) == key
        schedule.succeeded(key, 0, Requeue(), slow=True)


def test_slow_keys_leave_workers_to_the_others(schedule: Schedule[str]) -> None:
    slow(schedule, "a", "b", "c", "d")
    for key in "abcd":
        schedule.add(key, 1)
    schedule.add("quick", 2)
    assert [schedule.take(5) for _ in range(4)] == ["a", "b", "quick", None]
    assert schedule.next_due() == float("inf")
    schedule.failed("a", 6, None, slow=True)
    assert schedule.take(6) == "c"


def test_a_slow_key_that_was_quick_is_like_any_other(schedule: Schedule[str]) -> None:
    slow(schedule, "a", "b", "c")
    for key in "abc":
        schedule.add(key, 1)
        assert schedule.take(1) == key
        schedule.succeeded(key, 1, Requeue(), slow=False)
    for key in "abc":
        schedule.add(key, 2)
    assert [schedule.take(2) for _ in "abc"] == ["a", "b", "c"]


def test_no_pass_may_take_so_long_that_the_process_counts_as_stuck() -> None:
    longest_request = PATIENCE.attempts * (PATIENCE.connect + PATIENCE.read)
    assert LONGEST_PASS + 2 * longest_request < OLDEST_PASS


@pytest.mark.slow
def test_a_store_that_hangs_for_one_tenant_stops_no_other(
    cluster: ControlPlane,
    s3_server: S3Server,
    namespaces: Callable[[], str],
    play_pods: Callable[[Behaviour], PodPlayer],
    operators: Callable[..., OperatorProcess],
) -> None:
    hung, other = namespaces(), namespaces()
    s3 = HangingProxy(s3_server.endpoint, name="s3")
    with s3:
        installation = install(cluster, s3_server, [hung, other], endpoint=s3.url)
        installation = replace(
            installation, environment={**installation.environment, "AWS_MAX_ATTEMPTS": "1"}
        )
        play_pods(Scripts(succeeds(work=PretendedTrainer(s3_server))))
        s3.silent_for = hung
        operator = operators(installation, settings={"workers": WORKERS})
        operator.start()
        for number in range(2 * WORKERS):
            apply(cluster, hung, f"hung-{number}")
        eventually(lambda: operator.figure("detnas_queue_running") == WORKERS - 1)
        apply(cluster, other, "quick", trials=2)
        assert wait_until_over(cluster, other, "quick")["phase"] == "Succeeded"
        assert eventually(lambda: operator.health()[0]) == 200
        said = wait_until_said(cluster, hung, "hung-0", "Degraded", ("True",))
        assert said["reason"] == "StoreUnavailable"
        s3.silent_for = ""
        wait_until_said(cluster, hung, "hung-0", "Accepted", ("True",))
