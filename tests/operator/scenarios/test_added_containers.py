"""The cluster adds containers to pods and a time to live to Jobs; the trainer's end still counts.

All searches of this module run at the same time. Policies of the API server represent a mesh, a
vault and a controller that cleans up Jobs.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from detnas.records.results import Outcome
from tests.cluster.admission import Policy, change
from tests.cluster.played_pod import PlayedPod
from tests.cluster.pods import Script
from tests.cluster.scripts import exits, oom_killed, outlived, succeeds
from tests.operator.harness.harness import Harness
from tests.operator.harness.search import Search, in_order

NAMESPACES = 1
LOG = "epoch 1\nthe last words\n"
SOON = 60.0
SYNC_SECONDS = 12.0
"""Longer than until the first look at what a pod waits for."""

_NAME = "object.metadata.?labels['batch.kubernetes.io/job-name'].orValue('')"
_PROXY = """[JSONPatch{op: "add", path: "/spec/containers/0",
  value: Object.spec.containers{name: "proxy", image: "mesh/proxy:1"}}]"""
_VAULT = """[JSONPatch{op: "add", path: "/spec/initContainers", value: []},
  JSONPatch{op: "add", path: "/spec/initContainers/-",
  value: Object.spec.initContainers{name: "vault", image: "vault:1"}}]"""
_TTL = """[JSONPatch{op: "add", path: "/spec/ttlSecondsAfterFinished", value: 0}]"""


POLICIES = (
    Policy("pods", _PROXY, "mesh/proxy", f"{_NAME}.matches('^proxied.*-t0000$')"),
    Policy("pods", _VAULT, "vault:1", f"{_NAME}.startsWith('sealed')"),
    Policy("jobs", _TTL, "ttlSecondsAfterFinished", "object.metadata.name.startsWith('brief')"),
    Policy(
        "jobs",
        _TTL,
        "ttlSecondsAfterFinished",
        "object.metadata.name.startsWith('forced')",
        ("CREATE", "UPDATE"),
    ),
)


@dataclass(frozen=True)
class TrialEnd:
    """One way in which the trainer of trial 0 may end while its proxy runs on.

    Attributes:
        ends: exit code, reason and log of its pods' trainers, in turn.
        says: parts of its message, in order.
        log: of the trainer's first attempt, in the store.
    """

    ends: tuple[tuple[int, str, str], ...]
    says: tuple[str, ...]
    log: str = LOG
    spec: dict[str, Any] = field(default_factory=dict)


ENDINGS = {
    "proxied-failed": TrialEnd(
        ((1, "", "first\n"), (1, "", LOG)),
        says=("gave up after 2 attempts", "ended with exit 1", "the last words"),
        log="first\n",
        spec={"limits": {"retries": 1}},
    ),
    "proxied-oom": TrialEnd(
        ((137, "OOMKilled", LOG),),
        says=("its only attempt", "OOMKilled", "spec.jobs.resources.memory", "the last words"),
    ),
    "proxied-unknown": TrialEnd(((2, "", LOG),), says=("use a trainer image of the",)),
    "proxied-mute": TrialEnd(
        ((0, "", LOG),), says=("the trainer of Job proxied-mute-t0000 ended with exit 0",)
    ),
}


@pytest.fixture(scope="module")
def searches(harness: Harness) -> dict[str, Search]:
    """All of them; the pool is trained once for all."""
    namespace, api = harness.namespace(), harness.cluster.api
    for policy in POLICIES:
        change(api, namespace, policy)
    harness.begin("first", namespace=namespace, trials=1).until_phase("Succeeded")
    found = {}
    for name, ending in ENDINGS.items():
        begin = harness.trainer.begin
        pods = (outlived(code, reason, begin, log) for code, reason, log in ending.ends)
        harness.on(f"{name}-t0000", *pods)
        found[name] = harness.begin(name, ending.spec, namespace=namespace)
    harness.on("proxied-well-t0000", outlived(work=harness.trainer))
    harness.on("sealed-broken-prepare", _vault_fails)
    harness.on("sealed-hanging-prepare", _vault_hangs)
    harness.on("brief-base", oom_killed(log=LOG))
    harness.on("forced-base", exits(1, log=LOG))
    harness.on("syncing-prepare", _then(_secret_comes, succeeds(work=harness.trainer)))
    for name in ("syncing", "proxied-well", "sealed-broken", "sealed-hanging", "brief", "forced"):
        found[name] = harness.begin(name, namespace=namespace)
    return found


def test_trial_succeeds_and_its_job_goes_although_a_sidecar_runs_on(
    searches: dict[str, Search],
) -> None:
    search = searches["proxied-well"].until_phase("Succeeded")
    assert (search.trials["succeeded"], search.trials["infrastructure"]) == (2, 0)
    search.until(lambda: search.job("-t0000") is None, SOON)
    search.until(lambda: not search.live_pods(), SOON)
    assert len(search.pods_of("-t0000")) == 1
    assert [one["name"] for one in search.pods_of("-t0000")[0].document["spec"]["containers"]] == [
        "proxy",
        "trainer",
    ]


@pytest.mark.parametrize("name", ENDINGS)
def test_trial_fails_with_its_trainer_although_a_sidecar_runs_on(
    searches: dict[str, Search], name: str
) -> None:
    ending, search = ENDINGS[name], searches[name].until_phase("Succeeded")
    (failure,) = search.status["failures"]
    assert (failure["trial"], failure["outcome"]) == (0, Outcome.INFRASTRUCTURE)
    assert in_order(failure["message"], ending.says), failure["message"]
    assert len(search.pods_of("-t0000")) == len(ending.ends)
    assert not [pod for pod in search.live_pods() if "t0000" in pod["metadata"]["name"]]
    assert search.text("trials/0000/attempts/1/log.txt") == ending.log, "not the proxy's"


def test_search_names_an_init_container_that_failed(searches: dict[str, Search]) -> None:
    search = searches["sealed-broken"].until_phase("Failed")
    message = search.condition("Succeeded")["message"]
    says = ("its init container vault ended with exit 3", "permission denied", "log of vault")
    assert in_order(message, says), message
    assert len(search.pods_of("-prepare")) == 1


def test_search_names_an_init_container_that_never_ends(searches: dict[str, Search]) -> None:
    search = searches["sealed-hanging"]
    search.until_condition("Degraded", "True", "InitContainer")
    message = search.event("InitContainer")["message"]
    assert in_order(message, ("waits for its init container vault", "has not ended")), message


def test_job_with_a_foreign_time_to_live_stays_until_its_failure_is_recorded(
    searches: dict[str, Search],
) -> None:
    search = searches["brief"].until_phase("Failed")
    message = search.condition("Succeeded")["message"]
    assert in_order(message, ("its only attempt", "OOMKilled", "the last words")), message
    assert len(search.pods_of("-base")) == 1, "limits.retries is 0"
    search.until(lambda: search.job("-base") is None, SOON)
    assert len(search.pods_of("-base")) == 1


def test_job_that_is_deleted_as_soon_as_it_fails_counts_as_failed(
    searches: dict[str, Search],
) -> None:
    search = searches["forced"].until_phase("Failed")
    message = search.condition("Succeeded")["message"]
    assert in_order(message, ("Job forced-base gave up after its only attempt",)), message
    assert "complete" not in message
    search.until(lambda: search.job("-base") is None, SOON)
    time.sleep(3)
    assert len(search.pods_of("-base")) == 1, "limits.retries is 0"


def test_job_goes_by_a_foreign_time_to_live_once_its_result_is_recorded(
    searches: dict[str, Search],
) -> None:
    """The data check of the search, whose Job had a result."""
    searches["brief"].until(lambda: searches["brief"].job("-prepare") is None, SOON)


def test_pod_whose_secret_is_not_synced_yet_causes_no_warning(
    searches: dict[str, Search],
) -> None:
    search = searches["syncing"].until_phase("Succeeded")
    warned = [event["reason"] for event in search.events() if event["type"] == "Warning"]
    assert warned == []


async def _secret_comes(pod: PlayedPod) -> None:
    words = "failed to sync secret cache: timed out waiting for the condition"
    await pod.wait_for("CreateContainerConfigError", words)
    await asyncio.sleep(SYNC_SECONDS)


async def _vault_fails(pod: PlayedPod) -> None:
    ended = {"exitCode": 3, "reason": "Error", "message": "permission denied"}
    await pod.wait_for_init({"terminated": ended}, phase="Failed")


async def _vault_hangs(pod: PlayedPod) -> None:
    await pod.wait_for_init({"running": {"startedAt": "2026-01-01T00:00:00Z"}})


def _then(first: Script, second: Script) -> Script:
    async def script(pod: PlayedPod) -> None:
        await first(pod)
        await second(pod)

    return script
