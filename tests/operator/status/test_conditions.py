"""Conditions: whatever keeps a search from going on is said where people look for it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from detnas.plan.stages import DueJob, Phase, Verb
from detnas_operator.job.states import WaitingReason
from detnas_operator.status.conditions import conditions
from detnas_operator.status.findings import Findings, Reason
from detnas_operator.status.obstacles import PATIENCE_SECONDS
from tests.operator.status.found import (
    AWAY,
    BASE,
    BEST,
    FOLDER,
    FULL,
    HALTED,
    LATER,
    NOW,
    POOL,
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

TYPES = ["Accepted", "TeachersReady", "Searching", "Suspended", "Degraded", "Succeeded"]
SUCCEEDED = searched(
    Phase.SUCCEEDED,
    finished=10,
    best=BEST,
    best_trial=7,
    exported=BEST,
    exported_to=f"{FOLDER}/students/best",
)
BROKEN = searched(Phase.FAILED, problem="preparing the data failed (Invalid): no train.json")


def alone(verb: Verb, reason: WaitingReason, message: str) -> Findings:
    """The only job of a search waits."""
    phase = {Verb.PREPARE: Phase.PREPARING, Verb.POOL: Phase.TRAINING}.get(verb, Phase.SEARCHING)
    due = DueJob(verb)
    return found(searched(phase), jobs={due: job(due, waiting(reason, message))})


def trial(reason: WaitingReason, message: str) -> Findings:
    return alone(Verb.EVALUATE, reason, message)


QUOTA = Reason("QuotaExceeded", "jobs.batch is forbidden: exceeded quota: gpus, used: 8")
VETO = Reason("AdmissionRefused", 'admission webhook "policy" denied the request: no labels')

TABLE = [
    # what was found, condition, status, reason, part of the message
    (found(), "Accepted", "Unknown", "NotAccepted", ""),
    (found(), "Succeeded", "Unknown", "NotAccepted", ""),
    (found(troubles=(AWAY,)), "Accepted", "Unknown", "StoreUnavailable", "does not answer"),
    (found(troubles=(AWAY,)), "Degraded", "True", "StoreUnavailable", "does not answer"),
    (
        found(refused=Reason("CredentialsMissing", "no tenant for namespace team-b")),
        "Accepted",
        "False",
        "CredentialsMissing",
        "team-b",
    ),
    (found(refused=Reason("StorageForbidden", "x")), "Succeeded", "False", "StorageForbidden", "x"),
    (found(refused=Reason("StorageForbidden", "x")), "Degraded", "True", "StorageForbidden", "x"),
    (found(refused=Reason("StorageForbidden", "x")), "Searching", "Unknown", "NotAccepted", ""),
    (found(searched(Phase.PREPARING)), "Accepted", "True", "Accepted", FOLDER),
    (found(searched(Phase.PREPARING)), "TeachersReady", "False", "WaitingForData", "data"),
    (found(searched(Phase.PREPARING)), "Searching", "False", "NotStarted", "teachers"),
    (found(searched(Phase.PREPARING)), "Degraded", "False", "NothingWrong", ""),
    (found(searched(Phase.PREPARING)), "Succeeded", "False", "Preparing", "checked"),
    (found(searched(Phase.TRAINING)), "TeachersReady", "False", "Training", "1 of 3"),
    (found(searched(Phase.TRAINING)), "Succeeded", "False", "TrainingTeachers", "trained"),
    (
        found(searched(Phase.TRAINING), pool_phases=(3, 3)),
        "TeachersReady",
        "True",
        "Trained",
        POOL,
    ),
    (
        found(searched(Phase.TRAINING), pool_holder="team-a/first"),
        "TeachersReady",
        "False",
        "WaitingForPool",
        "team-a/first",
    ),
    (
        found(searched(Phase.TRAINING), pool_holder="team-a/first"),
        "Succeeded",
        "False",
        "WaitingForPool",
        "team-a/first",
    ),
    (found(searched(Phase.TRAINING), pool_holder="x"), "Degraded", "False", "NothingWrong", ""),
    (found(searched()), "TeachersReady", "True", "Trained", POOL),
    (found(searched()), "Searching", "True", "TrialsRunning", "2 of 10"),
    (found(searched()), "Suspended", "False", "NotSuspended", ""),
    (found(searched()), "Succeeded", "False", "Searching", "2 of 10"),
    (found(searched(), suspended=True), "Suspended", "True", "SuspendedByUser", "spec.suspend"),
    (found(searched(), suspended=True), "Searching", "False", "SuspendedByUser", "spec.suspend"),
    (found(searched(), suspended=True), "Succeeded", "False", "SuspendedByUser", "spec.suspend"),
    (found(searched(), suspended=True), "Degraded", "False", "NothingWrong", ""),
    (found(searched(), halted=HALTED), "Suspended", "True", "BudgetUsedUp", "gpuHours"),
    (found(searched(), halted=HALTED), "Searching", "False", "BudgetUsedUp", "gpuHours"),
    (found(searched(), halted=HALTED), "Degraded", "True", "BudgetUsedUp", "gpuHours"),
    (
        found(searched(), halted=Reason("FailuresInARow", "8 trials failed one after the other")),
        "Succeeded",
        "False",
        "FailuresInARow",
        "8 trials",
    ),
    (found(searched(), troubles=(QUOTA,)), "Degraded", "True", "QuotaExceeded", "exceeded quota"),
    (found(searched(), troubles=(QUOTA,)), "Searching", "False", "QuotaExceeded", "gpus"),
    (found(searched(), troubles=(VETO,)), "Succeeded", "False", "AdmissionRefused", "no labels"),
    (trial(WaitingReason.UNSCHEDULABLE, FULL), "Searching", "False", "Unschedulable", FULL),
    (trial(WaitingReason.UNSCHEDULABLE, FULL), "Degraded", "True", "Unschedulable", FULL),
    (trial(WaitingReason.UNSCHEDULABLE, FULL), "Succeeded", "False", "Unschedulable", FULL),
    (trial(WaitingReason.IMAGE_PULL, "not found"), "Degraded", "True", "ImagePull", "not found"),
    (trial(WaitingReason.DATA_MISSING, "coco"), "Degraded", "True", "DataMissing", "coco"),
    (trial(WaitingReason.CREDENTIALS_MISSING, "s3"), "Degraded", "True", "CredentialsMissing", ""),
    (trial(WaitingReason.QUOTA_EXCEEDED, "gpus"), "Degraded", "True", "QuotaExceeded", "gpus"),
    (trial(WaitingReason.PODS_REFUSED, "veto"), "Degraded", "True", "PodsRefused", "veto"),
    (trial(WaitingReason.NODE_LOST, "node-1"), "Degraded", "True", "NodeLost", "node-1"),
    (trial(WaitingReason.QUEUED, "queue gpus"), "Searching", "False", "Queued", "queue gpus"),
    (trial(WaitingReason.QUEUED, "queue gpus"), "Succeeded", "False", "Queued", "queue gpus"),
    (trial(WaitingReason.QUEUED, "queue gpus"), "Degraded", "False", "NothingWrong", ""),
    (trial(WaitingReason.RETRYING, "exit 1"), "Succeeded", "False", "Retrying", "exit 1"),
    (trial(WaitingReason.RETRYING, "exit 1"), "Degraded", "False", "NothingWrong", ""),
    (trial(WaitingReason.STARTING, "pulling"), "Searching", "True", "TrialsRunning", ""),
    (alone(Verb.PREPARE, WaitingReason.QUEUED, "q"), "TeachersReady", "False", "Queued", "q"),
    (alone(Verb.POOL, WaitingReason.UNSCHEDULABLE, "u"), "TeachersReady", "False", "", "u"),
    (found(searched(Phase.FINETUNING, finished=10)), "Searching", "False", "Finished", "10 of 10"),
    (
        found(searched(Phase.EXPORTING, ended_because="no better H in 4 trials")),
        "Searching",
        "False",
        "Finished",
        "no better H",
    ),
    (found(BROKEN), "Succeeded", "False", "Failed", "no train.json"),
    (found(BROKEN), "Degraded", "True", "Failed", "no train.json"),
    (found(BROKEN), "Searching", "False", "Failed", "no train.json"),
    (found(SUCCEEDED), "Succeeded", "True", "Exported", f"it lies in {FOLDER}/students/best"),
    (found(SUCCEEDED), "Succeeded", "True", "Exported", "H 1.2500 (base 1.0000)"),
    (found(SUCCEEDED), "Succeeded", "True", "Exported", "FLOPs -41%"),
    (found(SUCCEEDED, suspended=True), "Succeeded", "True", "Exported", "trial 7"),
    (found(SUCCEEDED, suspended=True), "Suspended", "True", "SuspendedByUser", ""),
    (found(SUCCEEDED, halted=HALTED), "Suspended", "False", "NotSuspended", ""),
    (found(SUCCEEDED, refused=Reason("X", "y")), "Succeeded", "True", "Exported", ""),
]


@pytest.mark.parametrize(("findings", "name", "status", "reason", "message"), TABLE)
def test_what_was_found_is_said(findings, name, status, reason, message):
    said = condition(conditions(findings, (), NOW), name)

    assert (said["status"], reason and said["reason"]) == (status, reason)
    assert message in said["message"]


@pytest.mark.parametrize("findings", [row[0] for row in TABLE])
def test_all_conditions_are_there_in_the_shape_of_the_api(findings):
    said = conditions(findings, (), NOW)

    assert [one["type"] for one in said] == TYPES
    for one in said:
        assert one["status"] in {"True", "False", "Unknown"}
        assert one["reason"].isalnum()
        assert one["reason"][0].isupper()
        assert 0 < len(one["message"].encode()) < 1024
        assert one["lastTransitionTime"] == "2026-03-01T12:00:00Z"
        assert one["observedGeneration"] == 1


def test_one_job_that_runs_is_enough_to_go_on_but_who_waits_is_told():
    said = conditions(found(searched(), jobs=trials(RUNNING, UNSCHEDULABLE)), (), NOW)

    assert condition(said, "Searching")["status"] == "True"
    assert condition(said, "Degraded")["message"] == f"job r101-t0003 waits: {FULL}"


def test_many_jobs_that_wait_for_the_same_are_one_sentence():
    said = conditions(found(searched(), jobs=trials(*[UNSCHEDULABLE] * 8)), (), NOW)

    assert condition(said, "Degraded")["message"] == f"8 jobs wait: {FULL}"


def test_many_refusals_for_the_same_reason_are_one_sentence():
    refused = [Reason("QuotaExceeded", f"r101-t000{n}: exceeded quota") for n in (3, 2, 4)]

    for troubles in (refused, refused[::-1]):
        said = conditions(found(searched(), troubles=tuple(troubles)), (), NOW)
        assert condition(said, "Degraded")["message"] == "r101-t0002: exceeded quota (3 times)"


def test_what_is_worst_comes_first():
    states = (
        UNSCHEDULABLE,
        waiting(WaitingReason.QUEUED, "in the queue"),
        waiting(WaitingReason.CREDENTIALS_MISSING, "no secret"),
    )
    said = conditions(found(searched(), jobs=trials(*states), troubles=(AWAY,)), (), NOW)
    degraded = condition(said, "Degraded")

    assert degraded["reason"] == "StoreUnavailable"
    assert degraded["message"].startswith(AWAY.message)
    assert FULL in degraded["message"]
    assert "no secret" in degraded["message"]
    assert "in the queue" not in degraded["message"]


@pytest.mark.parametrize("attempt", ["r101-t0002-x7k2p", "r101-t0002-0-bcdf4"])
def test_the_next_pod_that_meets_the_same_refusal_changes_nothing(attempt):
    refused = waiting(WaitingReason.QUOTA_EXCEEDED, f'pods "{attempt}" is forbidden: quota')
    said = conditions(found(searched(), jobs=trials(refused)), (), NOW)

    told = 'job r101-t0002 waits: pods "r101-t0002" is forbidden: quota'
    assert condition(said, "Degraded")["message"] == told


def test_an_objects_address_in_an_error_is_not_told():
    away = Reason("StoreUnavailable", "<Connection object at 0x7f3a1c2b4d50>: no route to host")
    said = conditions(found(searched(), troubles=(away,)), (), NOW)

    assert "7f3a1c2b4d50" not in condition(said, "Degraded")["message"]


def test_jobs_of_a_search_that_is_suspended_wait_for_nothing_else():
    said = conditions(found(searched(), suspended=True, jobs=trials(UNSCHEDULABLE)), (), NOW)

    assert condition(said, "Degraded")["status"] == "False"
    assert condition(said, "Searching")["reason"] == "SuspendedByUser"


def test_the_order_in_which_jobs_were_found_is_nothing():
    jobs = trials(UNSCHEDULABLE, waiting(WaitingReason.UNSCHEDULABLE, "another node"), STARTING)
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
    missing = waiting(WaitingReason.DATA_MISSING, "no claim named coco")
    findings = found(searched(), jobs={due: job(due, missing, waiting_since=NOW)})

    assert condition(conditions(findings, (), NOW), "Degraded")["reason"] == "DataMissing"


def test_times_change_with_the_status_alone():
    first = conditions(found(searched(Phase.TRAINING)), (), NOW)
    second = conditions(found(searched(), generation=2), first, LATER)
    searching, succeeded = (condition(second, name) for name in ("Searching", "Succeeded"))

    assert searching["lastTransitionTime"] == "2026-03-01T12:05:00Z"
    assert succeeded["reason"] != condition(first, "Succeeded")["reason"]
    assert succeeded["lastTransitionTime"] == "2026-03-01T12:00:00Z"
    assert succeeded["observedGeneration"] == 2


def test_while_the_store_is_away_what_was_known_stays():
    before = conditions(found(searched(), jobs=trials(RUNNING)), (), NOW)
    away = found(None, folder=FOLDER, generation=2, troubles=(AWAY,))
    after = conditions(away, before, LATER)

    for name in ("TeachersReady", "Searching", "Succeeded"):
        assert condition(after, name) == condition(before, name)
    assert condition(after, "Accepted")["status"] == "True"
    assert condition(after, "Degraded")["reason"] == "StoreUnavailable"


def test_a_suspended_search_stays_so_while_the_store_is_away():
    before = conditions(found(searched(), suspended=True), (), NOW)
    after = conditions(found(None, folder=FOLDER, troubles=(AWAY,)), before, LATER)
    assert condition(after, "Suspended") == condition(before, "Suspended")


def test_a_search_that_succeeded_stays_so_whatever_comes():
    before = conditions(found(SUCCEEDED), (), NOW)
    for findings in (found(refused=Reason("X", "y")), found(troubles=(AWAY,), suspended=True)):
        assert condition(conditions(findings, before, LATER), "Succeeded") == before[-1]


def test_a_second_refusal_says_its_own_reason():
    before = conditions(found(refused=Reason("StorageInvalid", "no bucket")), (), NOW)
    after = conditions(found(refused=Reason("StorageForbidden", "not yours")), before, LATER)

    for name in ("Accepted", "Succeeded", "Degraded"):
        assert condition(after, name)["message"] == "not yours"
        assert condition(after, name)["lastTransitionTime"] == "2026-03-01T12:00:00Z"


def test_unknown_is_no_knowledge_to_keep():
    before = conditions(found(troubles=(AWAY,)), (), NOW)
    refused = replace(AWAY, reason="StoreRefused", message="access denied")
    after = conditions(found(troubles=(refused,)), before, LATER)

    assert condition(after, "Accepted")["reason"] == "StoreRefused"


def test_a_base_that_is_not_known_is_not_compared():
    lone = searched(Phase.SUCCEEDED, base=None, exported=BASE, exported_to="s3://lab/x")

    assert "base" not in condition(conditions(found(lone), (), NOW), "Succeeded")["message"]
