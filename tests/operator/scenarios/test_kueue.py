"""Searches under a real Kueue: queued by quota, admitted whole, preempted, resumed; and why."""

import threading
from collections.abc import Callable, Iterator

import pytest

from detnas.records.verbs import Verb
from detnas_operator.job.jobset import jobset_manifest
from detnas_operator.job.manifest import job_manifest
from detnas_operator.job.order import Owner
from tests.cluster.api import JOBS, PODS, Document
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import start_cluster
from tests.cluster.jobs import job
from tests.cluster.jobset import JOBSETS, JobSetController, definition
from tests.cluster.kueue import GPU, Kueue
from tests.cluster.scripts import runs_until, succeeds
from tests.cluster.waiting import eventually
from tests.operator.harness.harness import ONE_PHASE, Harness
from tests.operator.harness.search import Search
from tests.operator.job.orders import SETTINGS as JOB_SETTINGS
from tests.operator.job.orders import TENANT, order
from tests.operator.scenarios import impatient_operator
from tools.kubernetes import find

PROGRAM = impatient_operator.main
NAMESPACES = 5
QUEUE = "kueue.x-k8s.io/queue-name"
PRIORITY = "kueue.x-k8s.io/priority-class"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, kubernetes_programs: dict
) -> Iterator[ControlPlane]:
    """A control plane in which Kueue decides on Jobs."""
    if find("kueue") is None:
        pytest.skip("no kueue: run python3 dev.py kubernetes kueue")
    jobset = find("jobset")
    definitions = [definition(jobset)] if jobset else []
    running = start_cluster(tmp_path_factory.mktemp("cluster"), kubernetes_programs, definitions)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def jobsets(cluster: ControlPlane) -> Iterator[JobSetController]:
    """The JobSet controller of that control plane."""
    binary = find("jobset")
    if binary is None:
        pytest.skip("no jobset: run python3 dev.py kubernetes jobset")
    running = JobSetController(cluster, binary)
    running.install()
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def kueue(cluster: ControlPlane) -> Iterator[Kueue]:
    """The Kueue of that control plane."""
    binary = find("kueue")
    assert binary
    running = Kueue(cluster, binary)
    running.install()
    running.start()
    yield running
    running.stop()


def test_search_waits_for_quota_in_kueues_words_and_then_runs(
    kueue: Kueue, harness: Harness
) -> None:
    namespace, over = harness.namespace(), threading.Event()
    kueue.queue("small", namespace, gpus=1)
    harness.on("first-t0000", runs_until(over, succeeds(work=harness.trainer)))
    spec = {"jobs": {"queueName": "small"}}
    first = harness.begin("first", spec, namespace, trials=1, parallelism=1)
    first.until_runs("-t0000")
    second = harness.begin("second", spec, namespace, trials=1, parallelism=1)
    second.until(lambda: is_queued(second))
    message = second.condition("Succeeded")["message"]
    assert "waits for Kueue to admit it to queue small: QuotaReserved is False (Pending)" in message
    assert f"insufficient unused quota for {GPU} in flavor default" in message
    assert second.has_condition("Degraded", "False", "NothingWrong")
    over.set()
    for search in (first, second):
        search.until_phase("Succeeded")
        assert search.trials["infrastructure"] == 0


def test_preempted_trial_is_reported_and_resumed(kueue: Kueue, harness: Harness) -> None:
    namespace, over = harness.namespace(), threading.Event()
    kueue.queue("shared", namespace, gpus=1)
    for priority, value in {"low": 10, "urgent": 1000}.items():
        kueue.make("WorkloadPriorityClass", priority, value=value)
    harness.on("low-t0000", runs_until(over, succeeds(work=harness.trainer)))
    harness.on("urgent", runs_until(over, succeeds()))
    jobs = {"queueName": "shared", "queuePriorityClass": "low", "queueSeconds": 3600}
    search = harness.begin("low", {"jobs": jobs}, namespace, trials=1, parallelism=1)
    search.until_runs("-t0000")
    asked = kueue.workload(search.job("-t0000") or {})["spec"]
    assert (asked["priority"], asked["maximumExecutionTimeSeconds"]) == (10, 3600)
    harness.cluster.api.create(urgent("shared"), namespace)
    search.until(lambda: is_queued(search))
    search.until(lambda: "Evicted is True (Preempted)" in search.condition("Succeeded")["message"])
    assert not search.live_pods()
    harness.on("low-t0000")
    harness.cluster.api.delete(JOBS, namespace, "urgent")
    search.until_phase("Succeeded")
    assert len(search.pods_of("-t0000")) == 2
    assert search.trials["infrastructure"] == 0


def test_pool_job_of_several_pods_is_admitted_as_one(kueue: Kueue, harness: Harness) -> None:
    namespace, api = harness.namespace(), harness.cluster.api
    kueue.queue("pairs", namespace, gpus=1)
    harness.on("r18-*", runs_until(threading.Event(), succeeds()))
    created = api.create(a_pool("pairs", harness, namespace), namespace)
    name = created["metadata"]["name"]
    eventually(lambda: "insufficient" in reserved(kueue.workload(created))["message"])
    assert api.get(JOBS, namespace, name)["spec"]["suspend"]
    assert api.list(PODS, namespace) == []  # one would find a GPU, and wait for the other
    kueue.queue("pairs", namespace, gpus=2)
    eventually(lambda: len(running(api.list(PODS, namespace))) == 2)
    workload = kueue.workload(created)
    assert [one["count"] for one in workload["status"]["admission"]["podSetAssignments"]] == [2]


@pytest.mark.usefixtures("jobsets")
def test_jobset_of_a_pool_is_admitted_as_one(kueue: Kueue, harness: Harness) -> None:
    namespace, api = harness.namespace(), harness.cluster.api
    kueue.queue("sets", namespace, gpus=1)
    harness.on("r18-*", runs_until(threading.Event(), succeeds()))
    created = api.create(a_pool("sets", harness, namespace, jobset_manifest), namespace)
    name = created["metadata"]["name"]
    eventually(lambda: "insufficient" in reserved(kueue.workload(created))["message"])
    assert api.get(JOBSETS, namespace, name)["spec"]["suspend"]
    assert api.list(PODS, namespace) == []
    kueue.queue("sets", namespace, gpus=2)
    eventually(lambda: len(running(api.list(PODS, namespace))) == 2)
    workload = kueue.workload(created)
    assert [one["count"] for one in workload["status"]["admission"]["podSetAssignments"]] == [2]
    assert not api.get(JOBSETS, namespace, name)["spec"]["suspend"]


def test_job_without_a_queue_that_kueue_suspends_is_explained(
    kueue: Kueue, harness: Harness, cluster: ControlPlane
) -> None:
    namespace = harness.namespace()
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    kueue.restart(manageJobsWithoutQueueName=True, managedJobsNamespaceSelector=selector)
    search = harness.begin("plain", {}, namespace, trials=1)
    search.until(lambda: is_queued(search))
    message = search.condition("Succeeded")["message"]
    assert "it names no queue (jobs.queueName): QuotaReserved is False (Inadmissible)" in message
    assert "spec.suspend" not in message
    kueue.queue("late", namespace, gpus=1)
    cluster.api.patch(JOBS, namespace, "plain-prepare", {"metadata": {"labels": {QUEUE: "late"}}})
    search.until(lambda: search.job("-base"))  # the data check has run


def is_queued(search: Search) -> bool:
    """Whether all of it waits for Kueue."""
    return search.has_condition("Succeeded", "False", "Queued")


def urgent(queue: str) -> Document:
    """A Job of somebody else's that goes before others."""
    document = job("urgent", {QUEUE: queue, PRIORITY: "urgent"})
    (container,) = document["spec"]["template"]["spec"]["containers"]
    container["resources"] = {"limits": {GPU: "1"}, "requests": {GPU: "1"}}
    return document


def a_pool(
    queue: str,
    harness: Harness,
    namespace: str,
    manifest: Callable[..., Document] = job_manifest,
) -> Document:
    """A Job or JobSet that trains a pool on two nodes."""
    spec = {"teachers": {**ONE_PHASE, "workers": 2}, "jobs": {"queueName": queue}}
    made = manifest(order(Verb.POOL, spec, Owner("r18", namespace, "0" * 36)), JOB_SETTINGS, TENANT)
    del made["metadata"]["ownerReferences"]  # its search is not there
    inner = made["spec"]
    for replicated in inner.get("replicatedJobs", ()):
        inner = replicated["template"]["spec"]
    inner["template"]["spec"].pop("serviceAccountName", None)
    return made


def reserved(workload: Document) -> Document:
    """Whether a Workload has a quota, and why not."""
    conditions: list[Document] = workload.get("status", {}).get("conditions", [])
    return next((one for one in conditions if one["type"] == "QuotaReserved"), {"message": ""})


def running(pods: list[Document]) -> list[Document]:
    """Those that run."""
    return [pod for pod in pods if pod["status"]["phase"] == "Running"]
