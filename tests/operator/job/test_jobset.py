"""The JobSet of a job on several nodes, and when there is one."""

from typing import Any

import pytest

from detnas.records.verbs import Verb
from detnas_operator.configuration.settings import MultiNode
from detnas_operator.job.jobset import is_jobset_chosen, jobset_manifest
from detnas_operator.job.manifest import job_manifest
from detnas_operator.job.order import Owner
from tests.operator.job.orders import FOLDERS, SETTINGS, TENANT, order

WORKERS = {"teachers": {"workers": 4, "gpusPerWorker": 8}, "limits": {"retries": 2}}
QUEUED = {**WORKERS, "jobs": {"queueName": "research", "queuePriorityClass": "batch"}}
UID = "0" * 36


def made(spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a JobSet and the spec of its only Job."""
    jobset = jobset_manifest(order(Verb.POOL, spec), SETTINGS, TENANT)
    (replicated,) = jobset["spec"]["replicatedJobs"]
    assert replicated["replicas"] == 1
    return jobset, replicated["template"]["spec"]


def test_jobset_has_the_indexed_job_that_would_run_without_it() -> None:
    jobset, inner = made(WORKERS)
    alone = job_manifest(order(Verb.POOL, WORKERS), SETTINGS, TENANT)
    assert jobset["metadata"] == alone["metadata"], "found, owned and deleted in the same way"
    same = ("completionMode", "completions", "parallelism", "backoffLimit", "successPolicy")
    policies = ("podFailurePolicy", "podReplacementPolicy", "activeDeadlineSeconds")
    for field in (*same, *policies):
        assert inner.get(field) == alone["spec"].get(field), field
    assert inner["template"]["metadata"] == alone["spec"]["template"]["metadata"]
    assert jobset["spec"]["failurePolicy"]["maxRestarts"] == 0, "its Job counts the attempts"


def test_jobset_names_the_rendezvous_in_its_own_domain() -> None:
    jobset, inner = made(WORKERS)
    assert jobset["spec"]["network"]["enableDNSHostnames"] is True
    pod = inner["template"]["spec"]
    assert "subdomain" not in pod, "the JobSet controller sets it"
    (container,) = pod["containers"]
    variables = {one["name"]: one["value"] for one in container["env"]}
    assert variables["DETNAS_RENDEZVOUS"] == "r18-pool-1-w-0-0.r18-pool-1:29500"
    assert variables["DETNAS_WORKERS"] == "4"
    uri = f"s3://bucket/prefix/{FOLDERS[Verb.POOL]}"
    assert container["command"] == ["detnas-trainer", "launch", "pool", uri]


def test_queued_jobset_is_suspended_as_a_whole() -> None:
    jobset, inner = made(QUEUED)
    assert jobset["spec"]["suspend"] is True
    assert "suspend" not in inner
    labels = jobset["metadata"]["labels"]
    assert labels["kueue.x-k8s.io/queue-name"] == "research"
    assert labels["kueue.x-k8s.io/priority-class"] == "batch"
    (replicated,) = jobset["spec"]["replicatedJobs"]
    of_job = replicated["template"]["metadata"]["labels"]
    assert not any(label.startswith("kueue") for label in of_job), "Kueue would queue it again"
    assert of_job["detnas.dev/search"] == "r18"
    assert "suspend" not in made(WORKERS)[0]["spec"]


@pytest.mark.parametrize(
    ("chosen", "usable", "expected"),
    [
        ("Auto", True, True),
        ("Auto", False, False),
        ("JobSet", True, True),
        ("JobSet", False, True),  # refused with the reason, rather than run otherwise
        ("IndexedJob", True, False),
    ],
)
def test_jobset_is_chosen_for_several_workers_as_the_administrator_says(
    chosen: MultiNode, usable: bool, expected: bool
) -> None:
    assert is_jobset_chosen(order(Verb.POOL, WORKERS), chosen, usable=usable) is expected
    assert not is_jobset_chosen(order(Verb.POOL), chosen, usable=usable), "one pod"
    assert not is_jobset_chosen(order(Verb.EVALUATE, WORKERS), chosen, usable=usable)


@pytest.mark.parametrize(("length", "fits"), [(44, True), (45, False)])
def test_jobset_is_chosen_automatically_only_while_its_pods_names_fit(
    length: int, fits: bool
) -> None:
    one = order(Verb.POOL, WORKERS, Owner("q" * length, "team-a", UID))
    longest = f"{one.name}-w-0-3-abcde"
    assert (len(longest) <= 63) is fits
    assert is_jobset_chosen(one, "Auto", usable=True) is fits
