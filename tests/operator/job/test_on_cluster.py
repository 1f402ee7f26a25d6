"""Manifests and states against a real API server and Job controller."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from detnas.reasons import ReasonCode
from detnas.records.verbs import Verb
from detnas_operator.job.manifest import job_manifest, service_manifest
from detnas_operator.job_state.state import (
    Failed,
    FailureKind,
    JobState,
    Running,
    Succeeded,
    Waiting,
)
from tests.cluster.admission import forbid
from tests.cluster.api import EVENTS, JOBS, PODS, ApiError, Document
from tests.cluster.control_plane import ControlPlane
from tests.cluster.waiting import eventually
from tests.operator.job.on_cluster import Tenancy, tenancy
from tests.operator.job.orders import SETTINGS, TENANT, TYPED

S3_DATA = {"dataset": {"source": {"s3": "s3://data/coco"}, "train": "t.json", "val": "v.json"}}
WORKERS = {"teachers": {"workers": 2, "gpusPerWorker": 0}, "limits": {"retries": 0}}
STRICT = {"dryRun": "All", "fieldValidation": "Strict"}
SPECS: list[dict[str, Any]] = [
    {},
    {"jobs": {**TYPED, "queueName": "research"}, "deadlines": {"trial": 60}},
    S3_DATA,
]


@pytest.fixture
def tenant(cluster: ControlPlane, namespace: str) -> Tenancy:
    return tenancy(cluster.api, namespace)


def as_pod(job: Document) -> Document:
    template = job["spec"]["template"]
    spec = {key: value for key, value in template["spec"].items() if key not in ADMITTED_BY_NAME}
    metadata = {**template["metadata"], "name": "one", "namespace": job["metadata"]["namespace"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


ADMITTED_BY_NAME = ("priorityClassName", "runtimeClassName")
"""Would have to exist in the cluster."""


def pod_event(tenant: Tenancy, job: str) -> str:
    def message() -> str:
        events = tenant.api.list(EVENTS, tenant.namespace, fieldSelector="reason=FailedCreate")
        return next((e["message"] for e in events if e["involvedObject"]["name"] == job), "")

    return eventually(message)


def status_of(tenant: Tenancy, job: str) -> Document:
    return tenant.api.get(JOBS, tenant.namespace, job)["status"]


def state_when(tenant: Tenancy, job: str, kind: type[JobState]) -> JobState:
    def found() -> JobState | None:
        state = tenant.state(job)
        return state if isinstance(state, kind) else None

    state = eventually(found)
    assert state is not None
    return state


@pytest.mark.parametrize("verb", Verb)
def test_api_server_accepts_every_job_and_its_restricted_pod(tenant: Tenancy, verb: Verb) -> None:
    for spec in SPECS:
        job = job_manifest(tenant.order(verb, spec), SETTINGS, TENANT)
        tenant.api.create(job, **STRICT)
        tenant.api.create(as_pod(job), **STRICT)


def test_api_server_accepts_pool_workers_and_their_service(tenant: Tenancy) -> None:
    order = tenant.order(Verb.POOL, {"teachers": {"workers": 4}})
    job, service = job_manifest(order, SETTINGS, TENANT), service_manifest(order)
    assert service is not None
    tenant.api.create(job, **STRICT)
    tenant.api.create(as_pod(job), **STRICT)
    made = tenant.api.create(service, **STRICT)
    assert made["spec"]["clusterIP"] == "None"


def test_api_server_refuses_an_unrestricted_pod(tenant: Tenancy) -> None:
    pod = as_pod(job_manifest(tenant.order(), SETTINGS, TENANT))
    del pod["spec"]["containers"][0]["securityContext"]
    with pytest.raises(ApiError, match="violates PodSecurity"):
        tenant.api.create(pod, **STRICT)


@pytest.mark.parametrize(("code", "kind"), [(42, "Candidate"), (43, "Candidate"), (2, "ExitCode")])
def test_job_fails_at_once_on_a_final_exit_code(tenant: Tenancy, code: int, kind: str) -> None:
    job = tenant.create()
    (pod,) = tenant.pods_when(job, 1)
    tenant.end(pod, code)
    state = state_when(tenant, job, Failed)
    assert isinstance(state, Failed)
    assert (state.kind, state.exit_code) == (kind, code)
    assert pod["metadata"]["name"] in state.message
    assert len(tenant.pods(job)) == 1


def test_job_runs_and_succeeds(tenant: Tenancy) -> None:
    job = tenant.create()
    assert isinstance(tenant.state(job), Waiting)
    (pod,) = tenant.pods_when(job, 1)
    tenant.play(pod, "Running", {"running": {"startedAt": "2026-11-22T12:00:00Z"}})
    assert tenant.state(job) == Running(datetime(2026, 11, 22, 12, tzinfo=UTC))
    tenant.end(pod, 0, "Completed")
    state_when(tenant, job, Succeeded)


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (137, "OOMKilled", FailureKind.OUT_OF_MEMORY),
        (1, "Error", FailureKind.EXIT_CODE),
        (139, "Error", FailureKind.EXIT_CODE),
    ],
)
def test_job_without_retries_fails_at_the_first_failure(
    tenant: Tenancy, code: int, reason: str, kind: FailureKind
) -> None:
    job = tenant.create(spec={"limits": {"retries": 0}})
    (pod,) = tenant.pods_when(job, 1)
    tenant.end(pod, code, reason)
    state = state_when(tenant, job, Failed)
    assert isinstance(state, Failed)
    assert (state.kind, state.exit_code) == (kind, code)


DISRUPTED = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "PreemptionByScheduler",
    "message": "preempted",
}


def test_job_resumes_after_stops_without_using_up_attempts(tenant: Tenancy) -> None:
    limits = {"limits": {"retries": 0}}
    ends: dict[str, tuple[int, list[dict[str, Any]]]] = {
        tenant.create(Verb.EVALUATE, limits): (75, []),
        tenant.create(Verb.EXPORT, limits): (143, [DISRUPTED]),
    }
    for job, (code, conditions) in ends.items():
        (pod,) = tenant.pods_when(job, 1)
        tenant.end(pod, code, conditions=conditions)
        state = tenant.state(job)
        assert isinstance(state, Waiting)
        assert state.code is ReasonCode.RETRYING
    for job in ends:
        *_, again = tenant.pods_when(job, 2)  # the controller's back-off is 10 s
        assert status_of(tenant, job).get("failed", 0) == 0
        words = f"pod {again['metadata']['name']} waits for a node"
        assert tenant.state(job) == Waiting(ReasonCode.STARTING, words)


def test_job_fails_past_its_deadline(tenant: Tenancy) -> None:
    job = tenant.create(spec={"deadlines": {"trial": 1}})
    state = state_when(tenant, job, Failed)
    assert isinstance(state, Failed)
    assert state.kind is FailureKind.DEADLINE_EXCEEDED
    assert "of 1 s" in state.message


def test_queued_job_has_no_pods_until_it_is_admitted(tenant: Tenancy) -> None:
    job = tenant.create(spec={"jobs": {"queueName": "research"}})
    state = tenant.state(job, datetime.now(UTC) + timedelta(hours=9))
    assert isinstance(state, Waiting)
    assert state.code is ReasonCode.QUEUED
    eventually(lambda: status_of(tenant, job)["conditions"])  # the Job controller has seen it
    assert not tenant.pods(job)
    tenant.api.patch(JOBS, tenant.namespace, job, {"spec": {"suspend": False}})
    eventually(lambda: tenant.pods(job))
    tenant.api.patch(JOBS, tenant.namespace, job, {"spec": {"suspend": True}})
    eventually(lambda: not tenant.pods(job))
    state = tenant.state(job)
    assert isinstance(state, Waiting)
    assert state.code is ReasonCode.QUEUED


def test_job_without_quota_waits_in_the_servers_words(tenant: Tenancy) -> None:
    forbid(tenant.api, tenant.namespace, "pods")
    job = tenant.create()
    words = pod_event(tenant, job)
    told = tenant.state(job, refused=words)
    assert isinstance(told, Waiting)
    assert told.code is ReasonCode.QUOTA_EXCEEDED
    assert words in told.message
    eventually(lambda: status_of(tenant, job)["startTime"])
    untold = tenant.state(job, datetime.now(UTC) + timedelta(minutes=1))
    assert isinstance(untold, Waiting)
    assert untold.code is ReasonCode.RETRYING, "nobody looked at the event"


def test_job_without_a_service_account_waits_with_the_reason(tenant: Tenancy) -> None:
    stranger = TENANT.model_copy(update={"service_account": "nobody"})
    made = tenant.api.create(job_manifest(tenant.order(), SETTINGS, stranger))
    job = made["metadata"]["name"]
    state = tenant.state(job, refused=pod_event(tenant, job))
    assert isinstance(state, Waiting)
    assert state.code is ReasonCode.CREDENTIALS_MISSING


def test_pool_job_succeeds_with_its_first_worker(tenant: Tenancy) -> None:
    job = tenant.create(Verb.POOL, WORKERS)
    first, second = tenant.pods_when(job, 2)
    if first["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] == "1":
        first, second = second, first
    assert first["spec"]["hostname"] == "r18-pool-1-0"
    assert first["spec"]["subdomain"] == "r18-pool"
    names = {entry["name"] for entry in first["spec"]["containers"][0]["env"]}
    assert "JOB_COMPLETION_INDEX" in names
    for pod in (first, second):
        tenant.play(pod, "Running", {"running": {"startedAt": "2026-11-22T12:00:00Z"}})
    assert isinstance(tenant.state(job), Running)
    tenant.end(first, 0, "Completed")
    state_when(tenant, job, Succeeded)
    gone = tenant.api.find(PODS, tenant.namespace, second["metadata"]["name"])
    assert gone is None or "deletionTimestamp" in gone["metadata"]


def test_pool_job_replaces_a_lost_worker_and_its_peers(tenant: Tenancy) -> None:
    spec = {**WORKERS, "limits": {"retries": 1}}
    job = tenant.create(Verb.POOL, spec)
    pods = tenant.pods_when(job, 2)
    tenant.end(pods[0], 137, "OOMKilled")
    tenant.end(pods[1], 75)
    # Two failures in a row double the controller's back-off of 10 s.
    tenant.pods_when(job, 4)
    assert status_of(tenant, job)["failed"] == 1, "the peer that lost it does not count"
    assert isinstance(tenant.state(job), Waiting)
