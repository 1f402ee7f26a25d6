"""A pool that two pods train: they meet, and after one is lost both resume.

Prepare, base and trials are pretended; the pool's pods run their own command as processes of this
machine, on a data set in S3. All searches of this module run at the same time.
"""

import json
import time
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cluster.api import PODS, Document
from tests.cluster.pods import Script
from tests.cluster.scripts import succeeds
from tests.operator.harness.behaviours import publishes
from tests.operator.harness.harness import Harness
from tests.operator.harness.search import Search
from tests.operator.scenarios.training_pods import (
    STEPS,
    TINY,
    TrainingPods,
    loses_its_rank,
    upload_data,
)
from tests.trainer.conftest import CLASSES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NAMESPACES = 2
PATIENCE = 500.0
"""Seconds for what takes one minute on an idle machine, of which the Job controller waits 20."""

SETTINGS = {"jobs": {"ttlSeconds": 3600, "env": {"DETNAS_CHECKPOINT_SECONDS": "0"}}}
JOB = "-pool-0"
SERVICES = "api/v1/services"


@dataclass
class Play:
    """The searches, each in a namespace of its own, who plays their pools, and when all end."""

    pods: TrainingPods
    searches: dict[str, Search]
    until: float


@pytest.fixture(scope="module")
def play(harness: Harness, tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Begin them all."""
    pods = TrainingPods(tmp_path_factory.mktemp("pods"), harness.trainer)
    data = upload_data(harness.store, tmp_path_factory.mktemp("data") / "tiny")
    harness.on("*-prepare", succeeds(work=publishes(harness.trainer, _with_classes)))
    short = {"phases": [{"epochs": 2, "learningRate": "0.01"}], "warmupIterations": 6}
    late: dict[str, Any] = {**TINY["teachers"], **short}  # a warm-up until the last step
    begun: dict[str, tuple[dict[str, Any], Script]] = {
        "killed": ({}, pods.befallen(0, loses_its_rank)),
        "invalid": ({"teachers": late}, pods.train),
    }
    searches = {}
    for name, (changes, first) in begun.items():
        harness.on(f"{name}{JOB}", first, pods.train)
        spec = {**TINY, "dataset": data, "limits": {"retries": 1}, **changes}
        searches[name] = harness.begin(name, spec, trials=1)
    return Play(pods, searches, time.monotonic() + PATIENCE)


def _ended(play: Play, name: str, phase: str) -> Search:
    """Wait for a search's end; say what its pool's pods said if it does not come."""
    search = play.searches[name]
    try:
        return search.until_phase(phase, max(5.0, play.until - time.monotonic()))
    except AssertionError as error:
        logs = (f"{pod.name}: {pod.log}" for pod in search.pods_of(JOB))
        raise AssertionError("\n".join((str(error), *logs))) from None


def _with_classes(result: Any) -> Any:
    return result.model_copy(update={"classes": CLASSES})


def _ends(play: Play, search: Search) -> list[tuple[int, int]]:
    """Index and exit code of each of the pool's pods; those that met stand together, in order."""
    pods = sorted(search.pods_of(JOB), key=lambda pod: (pod.attempt, pod.index))
    search.until(lambda: all(pod.name in play.pods.ends for pod in pods))
    return [(pod.index, play.pods.ends[pod.name]) for pod in pods]


def _conditions(search: Search) -> dict[str, str]:
    job = search.job(JOB) or {}
    return {one["type"]: one["status"] for one in job.get("status", {}).get("conditions", ())}


def _record(harness: Harness, search: Search, key: str) -> Document | None:
    stored = harness.trainer.store(search.pods_of(JOB)[0].uri).get(key)
    return json.loads(stored.data) if stored else None


def test_invalid_pool_completes_its_job_and_fails_the_search(play: Play) -> None:
    search = _ended(play, "invalid", "Failed")
    assert (0, 0) in _ends(play, search)
    search.until(lambda: _conditions(search).get("Complete") == "True")
    assert len(search.pods_of(JOB)) == 2, "nobody tries again what would come to the same"
    assert "warmupIterations" in search.condition("Degraded")["message"]


def test_pool_workers_resume_from_the_checkpoint_after_one_is_killed(
    harness: Harness, play: Play
) -> None:
    search = _ended(play, "killed", "Succeeded")
    assert _ends(play, search) == [(0, 1), (1, 75), (0, 0), (1, 0)]
    search.until(lambda: _conditions(search).get("Complete") == "True")
    counted = (search.job(JOB) or {})["status"].get("failed", 0)
    assert counted == 1, "only the worker that was killed uses up an attempt"
    # Rank 0 works and the other waits: one attempt for each meeting.
    first, second = (_record(harness, search, f"attempts/{n}/attempt.json") for n in (1, 2))
    assert first
    assert second
    assert second["resumedAt"] >= 2
    assert _record(harness, search, "attempts/3/attempt.json") is None
    result = _record(harness, search, "result.json")
    assert result
    assert (result["outcome"], result["attempt"]) == ("Succeeded", 2)
    assert result["iterations"] == STEPS
    assert search.has_condition("TeachersReady", "True", "Trained")


def test_pool_workers_find_each_other_by_a_headless_service(play: Play) -> None:
    search = play.searches["killed"]
    search.until(lambda: len({pod.index for pod in search.pods_of(JOB)}) == 2, PATIENCE)
    pod = search.pods_of(JOB)[0]
    search.until(lambda: pod.name in play.pods.environments)
    given = play.pods.environments[pod.name]
    host, _, port = given["DETNAS_RENDEZVOUS"].partition(":")
    assert (given["DETNAS_WORKERS"], given["JOB_COMPLETION_INDEX"]) == ("2", str(pod.index))
    name, _, domain = host.partition(".")
    api = search.harness.cluster.api
    service = api.get(SERVICES, search.namespace, domain)["spec"]
    assert (service["clusterIP"], service["publishNotReadyAddresses"]) == ("None", True)
    assert [int(port)] == [one["port"] for one in service["ports"]]
    chosen = ",".join(f"{label}={value}" for label, value in service["selector"].items())
    found = {p["metadata"]["name"] for p in api.list(PODS, search.namespace, labelSelector=chosen)}
    assert found
    search.until(lambda: found <= {p.name for p in search.pods_of(JOB)})
    names = [
        (p.document["spec"]["hostname"], p.document["spec"]["subdomain"])
        for p in search.pods_of(JOB)
    ]
    assert (name, domain) in names
    assert len(set(names)) == 2
