"""The operator and the kinds that it creates: killed between two writes, and JobSets gone."""

import threading
from collections.abc import Callable, Iterator

import pytest

from tests.cluster.control_plane import ControlPlane
from tests.cluster.faults import Call, Fault, Interrupt, LoseAnswer
from tests.cluster.jobset import JobSetController
from tests.cluster.scripts import runs_until, succeeds
from tests.operator.harness.fixtures import MakeHarness
from tests.operator.harness.harness import ProxiedHarness
from tests.operator.scenarios.test_jobsets import CHILD, PAIR, POOL, begin, first_worker

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(jobset_controller: JobSetController) -> ControlPlane:
    """A control plane that serves JobSets."""
    return jobset_controller.cluster


@pytest.fixture
def remove_jobsets(jobset_controller: JobSetController) -> Iterator[Callable[[], None]]:
    """Remove the definition of JobSets until the test ends."""
    yield jobset_controller.remove_definition
    jobset_controller.install()
    jobset_controller.start()


@pytest.mark.parametrize("fault", ["killed", "answer lost"])
def test_jobset_is_created_once_although_the_operator_does_not_get_the_answer(
    proxied: ProxiedHarness, fault: str
) -> None:
    hit: list[Call] = []

    def rule(call: Call) -> Fault | None:
        if hit or call.method != "POST" or not call.path.endswith("/jobsets"):
            return None
        hit.append(call)
        return Interrupt(proxied.operator.kill) if fault == "killed" else LoseAnswer()

    proxied.journal.rule = rule
    proxied.operator.start()
    search = begin(proxied, "once")
    search.until(lambda: hit)
    if fault == "killed":
        search.until(lambda: not proxied.operator.is_running)
        proxied.operator.start()
    search.until_phase("Succeeded")
    assert len({pod.document["metadata"]["uid"] for pod in search.pods_of(CHILD)}) == 2
    assert search.starts.count(next(key for key in search.starts if "phase-0" in key)) == 1


def test_pool_gets_an_indexed_job_once_jobsets_are_no_longer_served(
    proxied: ProxiedHarness, remove_jobsets: Callable[[], None]
) -> None:
    over = threading.Event()
    proxied.on("late-prepare", runs_until(over, succeeds(work=proxied.trainer)))
    proxied.on(f"late{POOL}", first_worker(succeeds(work=proxied.trainer)))
    proxied.operator.start()
    search = proxied.begin("late", PAIR, trials=1)
    search.until_runs("-prepare")
    remove_jobsets()
    over.set()
    search.until_phase("Succeeded")
    assert (search.job(POOL) or {})["spec"]["completionMode"] == "Indexed"
    assert search.job(CHILD) is None


def test_pool_that_must_have_a_jobset_waits_while_none_are_served(
    make_harness: MakeHarness, namespace: str, remove_jobsets: Callable[[], None]
) -> None:
    remove_jobsets()
    harness = make_harness([namespace], values={"jobs": {"multiNode": "JobSet"}})
    harness.operator.start()
    search = harness.begin("must", PAIR, trials=1)
    message = search.until_condition("Degraded", "True", "ClusterRefused")["message"]
    assert f"{search.name}{POOL} is not created" in message
    assert "does not serve jobsets.jobset.x-k8s.io; install JobSet" in message
    assert search.job(POOL) is None
