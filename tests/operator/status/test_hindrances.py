"""What hinders the jobs of a search is told briefly, the worst first, and no chance in it."""

from datetime import timedelta

import pytest

from detnas.plan.stages import DueJob, Phase, Verb
from detnas.reasons import Reason, ReasonCode
from detnas_operator.status.conditions import conditions
from detnas_operator.status.waiting import PATIENCE_SECONDS
from tests.operator.status.found import (
    AWAY,
    FULL,
    NOW,
    RUNNING,
    STARTING,
    UNSCHEDULABLE,
    condition,
    found,
    job,
    searched,
    trials,
    waiting,
)


def test_one_job_that_runs_is_enough_to_go_on_but_who_waits_is_told():
    said = conditions(found(searched(), jobs=trials(RUNNING, UNSCHEDULABLE)), (), NOW)

    assert condition(said, "Searching")["status"] == "True"
    assert condition(said, "Degraded")["message"] == f"job r101-t0003 waits: {FULL}"


def test_many_jobs_that_wait_for_the_same_are_one_sentence():
    said = conditions(found(searched(), jobs=trials(*[UNSCHEDULABLE] * 8)), (), NOW)

    assert condition(said, "Degraded")["message"] == f"8 jobs wait: {FULL}"


def test_many_refusals_for_the_same_reason_are_one_sentence():
    refused = [
        Reason(ReasonCode.QUOTA_EXCEEDED, f"r101-t000{n}: exceeded quota") for n in (3, 2, 4)
    ]

    for troubles in (refused, refused[::-1]):
        said = conditions(found(searched(), problems=tuple(troubles)), (), NOW)
        assert condition(said, "Degraded")["message"] == "r101-t0002: exceeded quota (3 times)"


@pytest.mark.parametrize("suspended", [False, True])
@pytest.mark.parametrize("phase", [Phase.EXPORTING, Phase.SUCCEEDED])
def test_a_fine_tuning_that_was_lost_is_told_with_what_to_do(phase, suspended):
    lost = searched(phase, finetune_problem="the node was lost" * 99)
    degraded = condition(conditions(found(lost, suspended=suspended), (), NOW), "Degraded")

    assert (degraded["status"], degraded["reason"]) == ("True", "FineTuningFailed")
    assert "the node was lost" in degraded["message"]
    assert degraded["message"].endswith("set spec.suspend to true and then to false to try again")


def test_what_is_worst_comes_first():
    states = (
        UNSCHEDULABLE,
        waiting(ReasonCode.QUEUED, "in the queue"),
        waiting(ReasonCode.CREDENTIALS_MISSING, "no secret"),
    )
    said = conditions(found(searched(), jobs=trials(*states), problems=(AWAY,)), (), NOW)
    degraded = condition(said, "Degraded")

    assert degraded["reason"] == "StoreUnavailable"
    assert degraded["message"].startswith(AWAY.message)
    assert FULL in degraded["message"]
    assert "no secret" in degraded["message"]
    assert "in the queue" not in degraded["message"]


def test_degraded_has_the_most_severe_reason_first():
    vetoed = Reason(ReasonCode.ADMISSION_REFUSED, "denied")
    rewritten = Reason(ReasonCode.LABELS_CHANGED, "label changed")
    states = (
        waiting(ReasonCode.NODE_LOST, "no heartbeat"),
        waiting(ReasonCode.IMAGE_PULL, "not found"),
        waiting(ReasonCode.QUOTA_EXCEEDED, "quota"),
    )
    search = found(searched(), jobs=trials(*states), problems=(rewritten, vetoed))
    degraded = condition(conditions(search, (), NOW), "Degraded")

    assert degraded["reason"] == "AdmissionRefused"
    words = ("denied", "quota", "not found", "no heartbeat", "label changed")
    places = [degraded["message"].index(word) for word in words]
    assert places == sorted(places)


@pytest.mark.parametrize("attempt", ["r101-t0002-x7k2p", "r101-t0002-0-bcdf4"])
def test_the_next_pod_that_meets_the_same_refusal_changes_nothing(attempt):
    refused = waiting(ReasonCode.QUOTA_EXCEEDED, f'pods "{attempt}" is forbidden: quota')
    said = conditions(found(searched(), jobs=trials(refused)), (), NOW)

    told = 'job r101-t0002 waits: pods "r101-t0002" is forbidden: quota'
    assert condition(said, "Degraded")["message"] == told


def test_an_objects_address_in_an_error_is_not_told():
    away = Reason(
        ReasonCode.STORE_UNAVAILABLE, "<Connection object at 0x7f3a1c2b4d50>: no route to host"
    )
    said = conditions(found(searched(), problems=(away,)), (), NOW)

    assert "7f3a1c2b4d50" not in condition(said, "Degraded")["message"]


def test_jobs_of_a_search_that_is_suspended_wait_for_nothing_else():
    said = conditions(found(searched(), suspended=True, jobs=trials(UNSCHEDULABLE)), (), NOW)

    assert condition(said, "Degraded")["status"] == "False"
    assert condition(said, "Searching")["reason"] == "SuspendedByUser"


def test_the_order_in_which_jobs_were_found_is_nothing():
    jobs = trials(UNSCHEDULABLE, waiting(ReasonCode.UNSCHEDULABLE, "another node"), STARTING)
    backwards = dict(reversed(jobs.items()))

    assert conditions(found(searched(), jobs=jobs), (), NOW) == conditions(
        found(searched(), jobs=backwards), (), NOW
    )


def test_a_place_that_is_free_in_a_moment_is_waited_for_in_silence():
    due = DueJob(Verb.EVALUATE, 2)
    findings = found(searched(), jobs={due: job(due, UNSCHEDULABLE, waiting_since=NOW)})
    at_last = NOW + timedelta(seconds=PATIENCE_SECONDS)

    assert condition(conditions(findings, (), NOW), "Searching")["status"] == "True"
    assert condition(conditions(findings, (), at_last), "Searching")["status"] == "False"


def test_what_does_not_pass_by_itself_is_told_at_once():
    due = DueJob(Verb.EVALUATE, 2)
    missing = waiting(ReasonCode.DATA_MISSING, "no claim named coco")
    findings = found(searched(), jobs={due: job(due, missing, waiting_since=NOW)})

    assert condition(conditions(findings, (), NOW), "Degraded")["reason"] == "DataMissing"
