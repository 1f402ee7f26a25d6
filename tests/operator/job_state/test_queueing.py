"""Why a suspended Job does not start, in Kueue's words."""

from typing import Any

import pytest

from detnas.reasons import ReasonCode
from detnas_operator.cluster.objects import JobView
from detnas_operator.job_state.queueing import (
    MAX_MESSAGE_CHARACTERS,
    ObservedWorkload,
    read_workload,
    suspension_wait,
)

QUEUE = {"kueue.x-k8s.io/queue-name": "gold"}
QUEUED, SUSPENDED = ReasonCode.QUEUED, ReasonCode.SUSPENDED
NO_WORKLOAD = ObservedWorkload()
PENDING = ("QuotaReserved", "False", "Pending", "insufficient quota for cpu")
EVICTED = ("Evicted", "True", "Preempted", "Preempted to accommodate a workload.")


def a_job(labels: dict[str, str] | None = None) -> JobView:
    metadata = {"name": "one", "namespace": "team-a", "uid": "1", "labels": labels}
    return JobView({"metadata": metadata})


def a_workload(*conditions: tuple[str, ...], **spec: Any) -> ObservedWorkload:
    names = ("type", "status", "reason", "message")
    said = [dict(zip(names, one, strict=True)) for one in conditions]
    owners = [{"kind": "Job", "uid": "1"}]
    workload = {
        "metadata": {"name": "job-one-1", "ownerReferences": owners},
        "spec": {"queueName": "gold", "podSets": ["large"], **spec},
        "status": {"conditions": said},
    }
    return ObservedWorkload(read_workload(workload))


CASES = {
    "not looked up": (QUEUE, None, QUEUED, "to admit it to queue gold"),
    "pending": (QUEUE, a_workload(PENDING), QUEUED, "(Pending): insufficient quota for cpu"),
    "preempted": (
        QUEUE,
        a_workload(PENDING, EVICTED),
        QUEUED,
        "(Preempted): Preempted to accommodate a workload; QuotaReserved is False (Pending)",
    ),
    "waits for a check": (
        QUEUE,
        a_workload(
            ("QuotaReserved", "True", "QuotaReserved", "Quota reserved in ClusterQueue big"),
            ("Evicted", "False", "QuotaReserved", "Previously: Preempted"),
            ("Admitted", "False", "UnsatisfiedChecks", "The workload has not all checks ready"),
        ),
        QUEUED,
        "queue gold: Admitted is False (UnsatisfiedChecks): The workload has not all checks ready",
    ),
    "deactivated": (
        QUEUE,
        a_workload(EVICTED, active=False),
        QUEUED,
        "Workload job-one-1 is deactivated; set its spec.active to true",
    ),
    "not decided on": (QUEUE, a_workload(), QUEUED, "Kueue has not decided on it yet"),
    "no workload": (
        QUEUE,
        NO_WORKLOAD,
        QUEUED,
        "is Kueue running, and does it manage Jobs in",
    ),
    "unread": (
        QUEUE,
        ObservedWorkload(unread="not allowed"),
        QUEUED,
        "cannot be read: not allowed",
    ),
    "managed without a queue": (
        None,
        a_workload(("QuotaReserved", "False", "Inadmissible", "no LocalQueue"), queueName=""),
        QUEUED,
        "it names no queue (jobs.queueName): QuotaReserved is False (Inadmissible): no LocalQueue",
    ),
    "by somebody": (None, NO_WORKLOAD, SUSPENDED, "set its spec.suspend to false"),
    "by nobody knows whom": (None, ObservedWorkload(unread="denied"), SUSPENDED, "unknown: denied"),
    "not looked up, no queue": (None, None, SUSPENDED, "was suspended, not by this operator"),
}


@pytest.mark.parametrize("case", CASES)
def test_suspension_wait_says_what_a_job_waits_for(case: str) -> None:
    labels, observed, reason, words = CASES[case]
    found = suspension_wait(a_job(labels), observed)
    assert found.code is reason
    assert words in found.message


@pytest.mark.parametrize("case", [case for case in CASES if case != "by somebody"])
def test_suspension_wait_advises_a_manual_start_only_without_queue_and_workload(case: str) -> None:
    labels, observed, *_ = CASES[case]
    assert "spec.suspend" not in suspension_wait(a_job(labels), observed).message


def test_read_workload_keeps_messages_in_bounded_size() -> None:
    found = a_workload(("QuotaReserved", "False", "Pending", "x" * 100_000)).workload
    assert found is not None
    assert found.owners == ("1",)
    assert len(repr(found)) < MAX_MESSAGE_CHARACTERS + 500
