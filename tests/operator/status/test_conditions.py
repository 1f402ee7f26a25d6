"""Conditions: whatever keeps a search from going on is said where people look for it."""

import pytest

from detnas.plan.stages import DueJob, Phase, Verb
from detnas.reasons import Reason, ReasonCode
from detnas_operator.status.conditions import conditions
from detnas_operator.status.pass_result import PassResult
from tests.operator.status.found import (
    AWAY,
    BASE,
    FOLDER,
    FULL,
    HALTED,
    NOW,
    POOL,
    SUCCEEDED,
    UNIMPROVED,
    WARNINGS,
    condition,
    detector,
    found,
    job,
    searched,
    waiting,
)

TYPES = ["Accepted", "TeachersReady", "Searching", "Suspended", "Degraded", "Succeeded"]


BROKEN = searched(Phase.FAILED, problem="preparing the data failed (Invalid): no train.json")


def alone(verb: Verb, reason: ReasonCode, message: str) -> PassResult:
    """The only job of a search waits."""
    phase = {Verb.PREPARE: Phase.PREPARING, Verb.POOL: Phase.TRAINING}.get(verb, Phase.SEARCHING)
    due = DueJob(verb)
    return found(searched(phase), jobs={due: job(due, waiting(reason, message))})


def trial(reason: ReasonCode, message: str) -> PassResult:
    return alone(Verb.EVALUATE, reason, message)


KEPT = UNIMPROVED.model_copy(
    update={"exported": detector(0.9, 0.3, 118_000_000_000), "exported_trial": 7}
)
WARNED = searched(Phase.TRAINING, warnings=WARNINGS)

QUOTA = Reason(ReasonCode.QUOTA_EXCEEDED, "jobs.batch is forbidden: exceeded quota: gpus, used: 8")


VETO = Reason(
    ReasonCode.ADMISSION_REFUSED, 'admission webhook "policy" denied the request: no labels'
)


TABLE = [
    # what was found, condition, status, reason, part of the message
    (found(), "Accepted", "Unknown", "NotAccepted", ""),
    (found(), "Succeeded", "Unknown", "NotAccepted", ""),
    (found(problems=(AWAY,)), "Accepted", "Unknown", "StoreUnavailable", "does not answer"),
    (found(problems=(AWAY,)), "Degraded", "True", "StoreUnavailable", "does not answer"),
    (
        found(
            not_accepted=Reason(ReasonCode.CREDENTIALS_MISSING, "no tenant for namespace team-b")
        ),
        "Accepted",
        "False",
        "CredentialsMissing",
        "team-b",
    ),
    (
        found(not_accepted=Reason(ReasonCode.STORAGE_FORBIDDEN, "x")),
        "Succeeded",
        "False",
        "StorageForbidden",
        "x",
    ),
    (
        found(not_accepted=Reason(ReasonCode.STORAGE_FORBIDDEN, "x")),
        "Degraded",
        "True",
        "StorageForbidden",
        "x",
    ),
    (
        found(not_accepted=Reason(ReasonCode.STORAGE_FORBIDDEN, "x")),
        "Searching",
        "Unknown",
        "NotAccepted",
        "",
    ),
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
    (found(searched(), blocked=HALTED), "Suspended", "True", "BudgetUsedUp", "gpuHours"),
    (found(searched(), blocked=HALTED), "Searching", "False", "BudgetUsedUp", "gpuHours"),
    (found(searched(), blocked=HALTED), "Degraded", "True", "BudgetUsedUp", "gpuHours"),
    (
        found(
            searched(),
            blocked=Reason(ReasonCode.FAILURES_IN_A_ROW, "8 trials failed one after the other"),
        ),
        "Succeeded",
        "False",
        "FailuresInARow",
        "8 trials",
    ),
    (found(searched(), problems=(QUOTA,)), "Degraded", "True", "QuotaExceeded", "exceeded quota"),
    (found(searched(), problems=(QUOTA,)), "Searching", "False", "QuotaExceeded", "gpus"),
    (found(searched(), problems=(VETO,)), "Succeeded", "False", "AdmissionRefused", "no labels"),
    (trial(ReasonCode.UNSCHEDULABLE, FULL), "Searching", "False", "Unschedulable", FULL),
    (trial(ReasonCode.UNSCHEDULABLE, FULL), "Degraded", "True", "Unschedulable", FULL),
    (trial(ReasonCode.UNSCHEDULABLE, FULL), "Succeeded", "False", "Unschedulable", FULL),
    (trial(ReasonCode.IMAGE_PULL, "not found"), "Degraded", "True", "ImagePull", "not found"),
    (trial(ReasonCode.DATA_MISSING, "coco"), "Degraded", "True", "DataMissing", "coco"),
    (trial(ReasonCode.CREDENTIALS_MISSING, "s3"), "Degraded", "True", "CredentialsMissing", ""),
    (trial(ReasonCode.QUOTA_EXCEEDED, "gpus"), "Degraded", "True", "QuotaExceeded", "gpus"),
    (trial(ReasonCode.PODS_REFUSED, "veto"), "Degraded", "True", "PodsRefused", "veto"),
    (trial(ReasonCode.NODE_LOST, "node-1"), "Degraded", "True", "NodeLost", "node-1"),
    (trial(ReasonCode.QUEUED, "queue gpus"), "Searching", "False", "Queued", "queue gpus"),
    (trial(ReasonCode.QUEUED, "queue gpus"), "Succeeded", "False", "Queued", "queue gpus"),
    (trial(ReasonCode.QUEUED, "queue gpus"), "Degraded", "False", "NothingWrong", ""),
    (trial(ReasonCode.RETRYING, "exit 1"), "Succeeded", "False", "Retrying", "exit 1"),
    (trial(ReasonCode.RETRYING, "exit 1"), "Degraded", "False", "NothingWrong", ""),
    (trial(ReasonCode.STARTING, "pulling"), "Searching", "True", "TrialsRunning", ""),
    (alone(Verb.PREPARE, ReasonCode.QUEUED, "q"), "TeachersReady", "False", "Queued", "q"),
    (alone(Verb.POOL, ReasonCode.UNSCHEDULABLE, "u"), "TeachersReady", "False", "", "u"),
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
    (found(SUCCEEDED), "Succeeded", "True", "Exported", f"it is stored in {FOLDER}/students/best"),
    (found(SUCCEEDED), "Succeeded", "True", "Exported", "H 1.2500 (base 1.0000)"),
    (found(UNIMPROVED), "Succeeded", "True", "NoImprovement", "no student is better than the base"),
    (found(UNIMPROVED), "Succeeded", "True", "NoImprovement", "likely cause: only 10 trials"),
    (
        found(UNIMPROVED),
        "Succeeded",
        "True",
        "NoImprovement",
        f"the base is exported to {FOLDER}/students/best",
    ),
    (found(KEPT), "Succeeded", "True", "NoImprovement", "the student of trial 7 has H 0.9000"),
    (found(KEPT), "Succeeded", "True", "NoImprovement", "no student is better than the base"),
    (found(KEPT), "Succeeded", "True", "NoImprovement", "likely cause: only 10 trials"),
    (found(WARNED), "Accepted", "True", "AcceptedWithWarnings", FOLDER),
    (found(WARNED), "Accepted", "True", "AcceptedWithWarnings", "; ".join(WARNINGS)),
    (found(WARNED), "Degraded", "False", "NothingWrong", ""),
    (found(SUCCEEDED), "Succeeded", "True", "Exported", "FLOPs -41%"),
    (found(SUCCEEDED, suspended=True), "Succeeded", "True", "Exported", "trial 7"),
    (found(SUCCEEDED, suspended=True), "Suspended", "True", "SuspendedByUser", ""),
    (found(SUCCEEDED, blocked=HALTED), "Suspended", "False", "NotSuspended", ""),
    (
        found(SUCCEEDED, not_accepted=Reason(ReasonCode.STORAGE_FORBIDDEN, "y")),
        "Succeeded",
        "True",
        "Exported",
        "",
    ),
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


def test_a_base_that_is_not_known_is_not_compared():
    lone = searched(Phase.SUCCEEDED, base=None, exported=BASE, exported_to="s3://lab/x")

    assert "base" not in condition(conditions(found(lone), (), NOW), "Succeeded")["message"]


def test_warnings_stay_while_the_store_cannot_be_read():
    before = conditions(found(WARNED), (), NOW)
    unread = found(folder=FOLDER, problems=(AWAY,))

    assert condition(conditions(unread, before, NOW), "Accepted") == condition(before, "Accepted")
    assert condition(conditions(unread, (), NOW), "Accepted")["reason"] == "Accepted"
