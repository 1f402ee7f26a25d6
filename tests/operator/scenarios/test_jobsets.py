"""Pools on two nodes under a real JobSet controller: trained, failed, suspended, deleted."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.cluster.admission import Policy, change
from tests.cluster.api import JOBS, PODS, Document
from tests.cluster.control_plane import ControlPlane
from tests.cluster.jobset import JOBSETS, JobSetController
from tests.cluster.played_pod import PlayedPod
from tests.cluster.pods import Script
from tests.cluster.scripts import exits, runs_for_ever, succeeds
from tests.operator.harness.behaviours import leaves_a_checkpoint
from tests.operator.harness.harness import ONE_PHASE, Harness
from tests.operator.harness.search import Search

NAMESPACES = 6
SERVICES = "api/v1/services"
PAIR: dict[str, Any] = {"teachers": {**ONE_PHASE, "workers": 2, "gpusPerWorker": 0}}
POOL, CHILD = "-pool-0", "-pool-0-w-0"
ELSEWHERE = "kueue.x-k8s.io/multikueue"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(jobset_controller: JobSetController) -> ControlPlane:
    """A control plane that serves JobSets."""
    return jobset_controller.cluster


def first_worker(script: Script) -> Script:
    """Let the first worker follow a script; the other runs until it is deleted."""

    async def follow(pod: PlayedPod) -> None:
        await (script if pod.index == 0 else runs_for_ever())(pod)

    return follow


def begin(harness: Harness, name: str, *first: Script, **spec: Any) -> Search:
    """Begin a search; the first worker of its pool follows these scripts, then succeeds."""
    scripts = [*first, *[succeeds(work=harness.trainer)] * 3]
    harness.on(f"{name}{CHILD}", *map(first_worker, scripts))
    return harness.begin(name, {**PAIR, **spec}, trials=1)


@pytest.fixture(scope="module")
def begun(harness: Harness) -> dict[str, Search]:
    """Searches that run at the same time."""
    return {
        "retried": begin(harness, "retried", exits(1), limits={"retries": 1}),
        "failing": begin(harness, "failing", exits(3)),
        "altered": begin(harness, "altered", exits(44)),
        "halted": begin(harness, "halted", leaves_a_checkpoint(harness.trainer)),
    }


def jobset(search: Search) -> Document | None:
    return search.harness.cluster.api.find(JOBSETS, search.namespace, search.name + POOL)


def conditions(document: Document | None) -> dict[str, str]:
    found = (document or {}).get("status", {}).get("conditions", ())
    return {one["type"]: one["status"] for one in found}


def test_pool_is_trained_by_a_jobset_whose_failed_pod_counts_as_an_attempt(
    begun: dict[str, Search],
) -> None:
    search = begun["retried"].until_phase("Succeeded")
    search.until(lambda: "ttlSecondsAfterFinished" in (jobset(search) or {})["spec"])
    document = jobset(search)
    assert document
    assert conditions(document)["Completed"] == "True"
    owners = document["metadata"]["ownerReferences"]
    assert [one["uid"] for one in owners] == [search.uid]
    child = search.job(CHILD)
    assert child
    assert child["status"]["failed"] >= 1
    assert search.job(POOL) is None
    assert search.trials["infrastructure"] == 0


def test_workers_meet_by_the_service_of_their_jobset(begun: dict[str, Search]) -> None:
    search = begun["retried"]
    search.until(lambda: len({pod.index for pod in search.pods_of(CHILD)}) == 2)
    pod = next(pod for pod in search.pods_of(CHILD) if pod.index == 0)
    given = {one["name"]: one.get("value") for one in pod.container["env"]}
    host = f"{pod.document['spec']['hostname']}.{pod.document['spec']['subdomain']}"
    assert given["DETNAS_RENDEZVOUS"] == f"{host}:29500"
    api = search.harness.cluster.api
    service = api.get(SERVICES, search.namespace, pod.document["spec"]["subdomain"])["spec"]
    assert (service["clusterIP"], service["publishNotReadyAddresses"]) == ("None", True)
    assert service["selector"].items() <= pod.labels.items()
    assert api.find(SERVICES, search.namespace, f"{search.name}-pool") is None


def test_failed_jobset_fails_the_search_with_the_cause_in_its_pod(
    begun: dict[str, Search],
) -> None:
    search = begun["failing"].until_phase("Failed")
    message = search.condition("Degraded")["message"]
    assert f"JobSet {search.name}{POOL} gave up after" in message
    assert "exit 3" in message
    assert conditions(jobset(search))["Failed"] == "True"


def test_changed_data_stops_a_search_whose_jobset_reports_only_a_rule(
    begun: dict[str, Search],
) -> None:
    search = begun["altered"]
    message = search.until_condition("Degraded", "True", "DataChanged")["message"]
    assert "exit 44" in message
    (failed,) = [
        one for one in (jobset(search) or {})["status"]["conditions"] if one["type"] == "Failed"
    ]
    assert failed["reason"] == "FailJobSetFailurePolicyAction", "known without its Job"


def test_suspended_search_deletes_its_jobset_and_resumes_with_another(
    begun: dict[str, Search],
) -> None:
    search = begun["halted"]
    search.until_runs(CHILD)
    search.until_training(POOL)
    before = (jobset(search) or {})["metadata"]["uid"]
    search.patch(suspend=True)
    search.until_condition("Suspended", "True", "SuspendedByUser")
    search.until(lambda: not search.live_pods())
    assert jobset(search) is None
    worker = first_worker(succeeds(work=search.harness.trainer))
    search.harness.on(f"{search.name}{CHILD}", worker)
    search.patch(suspend=False)
    search.until_phase("Succeeded")
    assert (jobset(search) or {})["metadata"]["uid"] != before
    assert search.trials["infrastructure"] == 0


def test_deleted_search_takes_its_jobset_job_and_pods_along(harness: Harness) -> None:
    search = begin(harness, "removed", runs_for_ever())
    search.until_runs(CHILD)
    api, namespace = harness.cluster.api, search.namespace
    search.delete()
    search.until_gone()
    search.until(lambda: not (api.list(JOBSETS, namespace) or api.list(JOBS, namespace)))
    search.until(lambda: not api.list(PODS, namespace))


class Elsewhere:
    """Runs the Jobs and JobSets of a search as MultiKueue does: only statuses come back."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._api = search.harness.cluster.api
        self._ended: set[str] = set()

    def advance(self) -> bool:
        """Do the work of those that are new; return whether the search is over."""
        for kind in (JOBS, JOBSETS):
            for document in self._api.list(kind, self._search.namespace):
                if document["metadata"]["uid"] not in self._ended:
                    self._end(kind, document)
        return self._search.phase in ("Succeeded", "Failed")

    def _end(self, kind: str, document: Document) -> None:
        assert document["spec"]["managedBy"] == ELSEWHERE
        spec = document["spec"]
        if kind == JOBSETS:
            spec = spec["replicatedJobs"][0]["template"]["spec"]
        (container,) = spec["template"]["spec"]["containers"]
        pod: Any = SimpleNamespace(uri=container["command"][-1])
        self._search.harness.trainer(pod)
        now = document["metadata"]["creationTimestamp"]
        kinds = ("Completed",) if kind == JOBSETS else ("SuccessCriteriaMet", "Complete")
        states = [
            {"type": one, "status": "True", "reason": "A", "message": "", "lastTransitionTime": now}
            for one in kinds
        ]
        times = {"startTime": now, "completionTime": now, "succeeded": 1}
        status = {"conditions": states, **({"restarts": 0} if kind == JOBSETS else times)}
        name = document["metadata"]["name"]
        self._api.patch(kind, self._search.namespace, name, {"status": status}, "status")
        self._ended.add(document["metadata"]["uid"])


def test_search_needs_no_pod_where_jobs_and_jobsets_run_in_another_cluster(
    harness: Harness,
) -> None:
    search = harness.search("remote", PAIR, trials=2)
    managed = f'[JSONPatch{{op: "add", path: "/spec/managedBy", value: "{ELSEWHERE}"}}]'
    for kind in ("jobs", "jobsets"):
        change(harness.cluster.api, search.namespace, Policy(kind, managed, ELSEWHERE))
    search.apply()
    elsewhere = Elsewhere(search)
    search.until(elsewhere.advance)
    assert search.phase == "Succeeded"
    assert conditions(jobset(search))["Completed"] == "True"
    assert harness.cluster.api.list(PODS, search.namespace) == []
    assert search.trials["succeeded"] == 2
