"""Degraded: one sentence per reason, the most severe first, the same for the same state."""

from datetime import timedelta
from typing import Any

import pytest

from detnas.plan.stages import JobId, Phase
from detnas.reasons import Reason, ReasonCode
from detnas.records.verbs import Verb
from detnas_operator.job_state.state import JobState, Waiting
from detnas_operator.status.conditions import conditions
from detnas_operator.status.not_running import PATIENCE_SECONDS
from tests.operator.status.pass_results import (
    NO_GPU,
    NOW,
    RUNNING,
    STARTING,
    STORE_AWAY,
    UNSCHEDULABLE,
    condition,
    job,
    pass_result,
    search_state,
    trials,
)


def reported(*states: JobState, **fields: Any) -> list[dict[str, Any]]:
    """The conditions of a search whose trials are in these states."""
    return conditions(pass_result(Phase.SEARCHING, jobs=trials(*states), **fields), (), NOW)


def degraded(*states: JobState, **fields: Any) -> dict[str, Any]:
    return condition(reported(*states, **fields), "Degraded")


def test_waiting_job_is_reported_beside_a_running_one() -> None:
    found = reported(RUNNING, UNSCHEDULABLE)

    assert condition(found, "Searching")["status"] == "True"
    assert condition(found, "Degraded")["message"] == f"Job r101-t0003 waits: {NO_GPU}"


def test_jobs_that_wait_for_the_same_are_one_sentence() -> None:
    assert degraded(*[UNSCHEDULABLE] * 8)["message"] == f"8 Jobs wait: {NO_GPU}"


def test_problems_with_the_same_reason_are_one_sentence() -> None:
    refused = [Reason(ReasonCode.QUOTA_EXCEEDED, f"r101-t000{n}: quota") for n in (3, 2, 4)]

    for problems in (refused, refused[::-1]):
        assert degraded(problems=tuple(problems))["message"] == "r101-t0002: quota (3 times)"


@pytest.mark.parametrize(
    ("field", "reason"),
    [("finetune_problem", "FineTuningFailed"), ("baseline_problem", "BaselineFailed")],
)
@pytest.mark.parametrize("suspended", [False, True])
@pytest.mark.parametrize("phase", [Phase.EXPORTING, Phase.SUCCEEDED])
def test_lost_training_after_the_trials_is_reported_with_what_to_do(
    phase: Phase, suspended: bool, field: str, reason: str
) -> None:
    lost = search_state(phase, **{field: "the node was lost" * 99})
    found = condition(conditions(pass_result(lost, suspended=suspended), (), NOW), "Degraded")

    assert (found["status"], found["reason"]) == ("True", reason)
    assert "the node was lost" in found["message"]
    assert found["message"].endswith("set spec.suspend to true and then to false to try again")


def test_problem_of_the_store_comes_before_waiting_jobs() -> None:
    queued = Waiting(ReasonCode.QUEUED, "in the queue")
    missing = Waiting(ReasonCode.CREDENTIALS_MISSING, "no secret")
    found = degraded(UNSCHEDULABLE, queued, missing, problems=(STORE_AWAY,))

    assert found["reason"] == "StoreUnavailable"
    assert found["message"].startswith(STORE_AWAY.message)
    assert NO_GPU in found["message"]
    assert "no secret" in found["message"]
    assert "in the queue" not in found["message"]


def test_degraded_reports_the_most_severe_reason_first() -> None:
    vetoed = Reason(ReasonCode.ADMISSION_REFUSED, "denied")
    rewritten = Reason(ReasonCode.LABELS_CHANGED, "label changed")
    found = degraded(
        Waiting(ReasonCode.NODE_LOST, "no heartbeat"),
        Waiting(ReasonCode.IMAGE_PULL, "not found"),
        Waiting(ReasonCode.QUOTA_EXCEEDED, "quota"),
        problems=(rewritten, vetoed),
    )

    assert found["reason"] == "AdmissionRefused"
    messages = found["message"].split("; ")
    assert [message.rpartition(": ")[2] for message in messages] == [
        "denied",
        "quota",
        "not found",
        "no heartbeat",
        "label changed",
    ]


@pytest.mark.parametrize("attempt", ["r101-t0002-x7k2p", "r101-t0002-0-bcdf4"])
def test_degraded_message_stays_the_same_for_the_next_pod(attempt: str) -> None:
    refused = Waiting(ReasonCode.QUOTA_EXCEEDED, f'pods "{attempt}" is forbidden: quota')

    message = 'Job r101-t0002 waits: pods "r101-t0002" is forbidden: quota'
    assert degraded(refused)["message"] == message


def test_degraded_message_has_no_memory_address() -> None:
    message = "<Connection object at 0x7f3a1c2b4d50>: no route to host"
    away = Reason(ReasonCode.STORE_UNAVAILABLE, message)

    assert "7f3a1c2b4d50" not in degraded(problems=(away,))["message"]


def test_waiting_jobs_of_a_suspended_search_are_not_reported() -> None:
    found = reported(UNSCHEDULABLE, suspended=True)

    assert condition(found, "Degraded")["status"] == "False"
    assert condition(found, "Searching")["reason"] == "SuspendedByUser"


def test_conditions_of_the_same_jobs_in_another_order_are_the_same() -> None:
    other_node = Waiting(ReasonCode.UNSCHEDULABLE, "another node")
    jobs = trials(UNSCHEDULABLE, other_node, STARTING)

    forward, backward = (
        conditions(pass_result(Phase.SEARCHING, jobs=one), (), NOW)
        for one in (jobs, dict(reversed(jobs.items())))
    )
    assert forward == backward


def test_job_that_may_soon_find_a_place_is_reported_after_a_while() -> None:
    job_id = JobId(Verb.EVALUATE, 2)
    waits = pass_result(
        Phase.SEARCHING, jobs={job_id: job(job_id, UNSCHEDULABLE, waiting_since=NOW)}
    )
    later = NOW + timedelta(seconds=PATIENCE_SECONDS)

    assert condition(conditions(waits, (), NOW), "Searching")["status"] == "True"
    assert condition(conditions(waits, (), later), "Searching")["status"] == "False"


def test_wait_that_does_not_end_by_itself_is_reported_at_once() -> None:
    job_id = JobId(Verb.EVALUATE, 2)
    missing = Waiting(ReasonCode.DATA_MISSING, "no claim named coco")
    waits = pass_result(Phase.SEARCHING, jobs={job_id: job(job_id, missing, waiting_since=NOW)})

    assert condition(conditions(waits, (), NOW), "Degraded")["reason"] == "DataMissing"
