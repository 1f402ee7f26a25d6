"""Conditions: what blocks a search is reported where people look for it, and stays true."""

from dataclasses import replace

import pytest

from detnas.gain import Gain
from detnas.plan.stages import JobId, Phase
from detnas.reasons import Reason, ReasonCode
from detnas.records.verbs import Verb
from detnas_operator.job_state.state import Waiting
from detnas_operator.status.conditions import conditions
from detnas_operator.status.pass_result import PassResult
from tests.operator.status.pass_results import (
    BASE,
    FOLDER,
    FORBIDDEN,
    LATER,
    NO_GPU,
    NOW,
    OVER_BUDGET,
    POOL,
    RUNNING,
    STORE_AWAY,
    SUCCEEDED,
    UNIMPROVED,
    UNREAD,
    WARNINGS,
    condition,
    detector,
    job,
    pass_result,
    search_state,
    trials,
)

TYPES = ["Accepted", "TeachersReady", "Searching", "Suspended", "Degraded", "Succeeded"]


def waits(reason: ReasonCode, message: str, verb: Verb = Verb.EVALUATE) -> PassResult:
    """The only job of a search waits."""
    phase = {Verb.PREPARE: Phase.PREPARING, Verb.POOL: Phase.TRAINING}.get(verb, Phase.SEARCHING)
    job_id = JobId(verb)
    return pass_result(phase, jobs={job_id: job(job_id, Waiting(reason, message))})


NEW = pass_result()
NEW_UNREAD = pass_result(problems=(STORE_AWAY,))
NO_TENANT = pass_result(not_accepted=Reason(ReasonCode.CREDENTIALS_MISSING, "no tenant for team-b"))
REFUSED = pass_result(not_accepted=FORBIDDEN)
PREPARING, TRAINING = pass_result(Phase.PREPARING), pass_result(Phase.TRAINING)
TRAINED = pass_result(Phase.TRAINING, pool_phases=(3, 3))
UNPOOLED = pass_result(Phase.TRAINING, pool="", pool_phases=(0, 0))
WAITS_FOR_POOL = pass_result(Phase.TRAINING, pool_holder="team-a/first")
SEARCHING = pass_result(Phase.SEARCHING)
SUSPENDED = pass_result(Phase.SEARCHING, suspended=True)
BLOCKED = pass_result(Phase.SEARCHING, blocked=OVER_BUDGET)
FAILING = pass_result(
    Phase.SEARCHING, blocked=Reason(ReasonCode.FAILURES_IN_A_ROW, "8 trials failed in a row")
)
OVER_QUOTA = pass_result(
    Phase.SEARCHING, problems=(Reason(ReasonCode.QUOTA_EXCEEDED, "exceeded quota: gpus, used: 8"),)
)
VETOED = pass_result(
    Phase.SEARCHING, problems=(Reason(ReasonCode.ADMISSION_REFUSED, "policy: no labels"),)
)
NO_NODE = waits(ReasonCode.UNSCHEDULABLE, NO_GPU)
QUEUED = waits(ReasonCode.QUEUED, "queue gpus")
RETRYING = waits(ReasonCode.RETRYING, "exit 1")
TUNING = pass_result(search_state(Phase.FINETUNING, finished=10))
CONVERGED = pass_result(search_state(Phase.EXPORTING, ended_because="no better H in 4 trials"))
BROKEN = pass_result(
    search_state(Phase.FAILED, problem="preparing the data failed (Invalid): no train.json")
)
EXPORTED = pass_result(SUCCEEDED)
BASE_EXPORTED = pass_result(UNIMPROVED)
EARLIER_STUDENT = pass_result(
    UNIMPROVED.model_copy(
        update={"exported": detector(0.9, 0.3, 118_000_000_000), "exported_trial": 7}
    )
)
UNCERTAIN = pass_result(
    SUCCEEDED.model_copy(
        update={
            "export_reason": "trial 7 is best; not distinguishable from the base",
            "improved": True,
            "gain": Gain(difference=0.01, low=-0.02, high=0.04),
        }
    )
)
WARNED = pass_result(search_state(Phase.TRAINING, warnings=WARNINGS))

TABLE = [
    # what was found; condition, status and reason; part of the message
    (NEW, "Accepted Unknown NotAccepted", ""),
    (NEW, "Succeeded Unknown NotAccepted", ""),
    (NEW_UNREAD, "Accepted Unknown StoreUnavailable", "does not answer"),
    (NEW_UNREAD, "Degraded True StoreUnavailable", "does not answer"),
    (NO_TENANT, "Accepted False CredentialsMissing", "team-b"),
    (REFUSED, "Succeeded False StorageForbidden", "s3://other"),
    (REFUSED, "Degraded True StorageForbidden", "s3://other"),
    (REFUSED, "Searching Unknown NotAccepted", ""),
    (PREPARING, "Accepted True Accepted", FOLDER),
    (PREPARING, "TeachersReady False WaitingForData", "data"),
    (PREPARING, "Searching False NotStarted", "teachers"),
    (PREPARING, "Degraded False NothingWrong", ""),
    (PREPARING, "Succeeded False Preparing", "checked"),
    (TRAINING, "TeachersReady False Training", "1 of 3"),
    (TRAINING, "Succeeded False TrainingTeachers", "trained"),
    (TRAINED, "TeachersReady True Trained", POOL),
    (UNPOOLED, "TeachersReady True Trained", "the external teacher is checked and stored"),
    (WAITS_FOR_POOL, "TeachersReady False WaitingForPool", "team-a/first"),
    (WAITS_FOR_POOL, "Succeeded False WaitingForPool", "team-a/first"),
    (WAITS_FOR_POOL, "Degraded False NothingWrong", ""),
    (SEARCHING, "TeachersReady True Trained", POOL),
    (SEARCHING, "Searching True TrialsRunning", "2 of 10"),
    (SEARCHING, "Suspended False NotSuspended", ""),
    (SEARCHING, "Succeeded False Searching", "2 of 10"),
    (SUSPENDED, "Suspended True SuspendedByUser", "spec.suspend"),
    (SUSPENDED, "Searching False SuspendedByUser", "spec.suspend"),
    (SUSPENDED, "Succeeded False SuspendedByUser", "spec.suspend"),
    (SUSPENDED, "Degraded False NothingWrong", ""),
    (BLOCKED, "Suspended True BudgetUsedUp", "gpuHours"),
    (BLOCKED, "Searching False BudgetUsedUp", "gpuHours"),
    (BLOCKED, "Degraded True BudgetUsedUp", "gpuHours"),
    (FAILING, "Succeeded False FailuresInARow", "8 trials"),
    (OVER_QUOTA, "Degraded True QuotaExceeded", "exceeded quota"),
    (OVER_QUOTA, "Searching False QuotaExceeded", "gpus"),
    (VETOED, "Succeeded False AdmissionRefused", "no labels"),
    (NO_NODE, "Searching False Unschedulable", NO_GPU),
    (NO_NODE, "Degraded True Unschedulable", NO_GPU),
    (NO_NODE, "Succeeded False Unschedulable", NO_GPU),
    (waits(ReasonCode.IMAGE_PULL, "not found"), "Degraded True ImagePull", "not found"),
    (waits(ReasonCode.DATA_MISSING, "coco"), "Degraded True DataMissing", "coco"),
    (waits(ReasonCode.CREDENTIALS_MISSING, "s3"), "Degraded True CredentialsMissing", ""),
    (waits(ReasonCode.QUOTA_EXCEEDED, "gpus"), "Degraded True QuotaExceeded", "gpus"),
    (waits(ReasonCode.PODS_REFUSED, "veto"), "Degraded True PodsRefused", "veto"),
    (waits(ReasonCode.NODE_LOST, "node-1"), "Degraded True NodeLost", "node-1"),
    (QUEUED, "Searching False Queued", "queue gpus"),
    (QUEUED, "Succeeded False Queued", "queue gpus"),
    (QUEUED, "Degraded False NothingWrong", ""),
    (RETRYING, "Succeeded False Retrying", "exit 1"),
    (RETRYING, "Degraded False NothingWrong", ""),
    (waits(ReasonCode.STARTING, "pulling"), "Searching True TrialsRunning", ""),
    (waits(ReasonCode.QUEUED, "q", Verb.PREPARE), "TeachersReady False Queued", "q"),
    (waits(ReasonCode.UNSCHEDULABLE, "u", Verb.POOL), "TeachersReady False Unschedulable", "u"),
    (TUNING, "Searching False Finished", "10 of 10"),
    (CONVERGED, "Searching False Finished", "no better H"),
    (BROKEN, "Succeeded False Failed", "no train.json"),
    (BROKEN, "Degraded True Failed", "no train.json"),
    (BROKEN, "Searching False Failed", "no train.json"),
    (EXPORTED, "Succeeded True Exported", f"it is stored in {FOLDER}/students/best"),
    (EXPORTED, "Succeeded True Exported", "H 1.2500 (base 1.0000)"),
    (EXPORTED, "Succeeded True Exported", "FLOPs -41%"),
    (UNCERTAIN, "Succeeded True NotDistinguishable", "not distinguishable from the base"),
    (UNCERTAIN, "Succeeded True NotDistinguishable", "H 1.2500 (base 1.0000)"),
    (BASE_EXPORTED, "Succeeded True NoImprovement", "no student is better than the base"),
    (BASE_EXPORTED, "Succeeded True NoImprovement", "likely cause: only 10 trials"),
    (BASE_EXPORTED, "Succeeded True NoImprovement", f"the base is exported to {FOLDER}/students"),
    (EARLIER_STUDENT, "Succeeded True NoImprovement", "the student of trial 7 has H 0.9000"),
    (EARLIER_STUDENT, "Succeeded True NoImprovement", "no student is better than the base"),
    (EARLIER_STUDENT, "Succeeded True NoImprovement", "likely cause: only 10 trials"),
    (WARNED, "Accepted True AcceptedWithWarnings", FOLDER),
    (WARNED, "Accepted True AcceptedWithWarnings", "; ".join(WARNINGS)),
    (WARNED, "Degraded False NothingWrong", ""),
    (pass_result(SUCCEEDED, suspended=True), "Succeeded True Exported", "trial 7"),
    (pass_result(SUCCEEDED, suspended=True), "Suspended True SuspendedByUser", ""),
    (pass_result(SUCCEEDED, blocked=OVER_BUDGET), "Suspended False NotSuspended", ""),
    (pass_result(SUCCEEDED, not_accepted=FORBIDDEN), "Succeeded True Exported", ""),
]


@pytest.mark.parametrize(("result", "expected", "message"), TABLE)
def test_conditions_report_what_was_found_in_the_shape_of_the_api(
    result: PassResult, expected: str, message: str
) -> None:
    found = conditions(result, (), NOW)
    named = condition(found, expected.split(maxsplit=1)[0])

    assert f"{named['type']} {named['status']} {named['reason']}" == expected
    assert message in named["message"]
    assert [one["type"] for one in found] == TYPES
    for one in found:
        assert one["status"] in {"True", "False", "Unknown"}
        assert 0 < len(one["message"].encode()) < 1024
        assert one["lastTransitionTime"] == "2026-03-01T12:00:00Z"
        assert one["observedGeneration"] == 1


def test_succeeded_compares_with_no_base_if_none_is_known() -> None:
    lone = search_state(Phase.SUCCEEDED, base=None, exported=BASE, exported_to="s3://lab/x")

    found = conditions(pass_result(lone), (), NOW)
    assert "base" not in condition(found, "Succeeded")["message"]


def test_warnings_stay_while_the_store_is_unread() -> None:
    before = conditions(WARNED, (), NOW)

    assert condition(conditions(UNREAD, before, NOW), "Accepted") == condition(before, "Accepted")
    assert condition(conditions(UNREAD, (), NOW), "Accepted")["reason"] == "Accepted"


def test_transition_time_changes_with_the_status_only() -> None:
    first = conditions(TRAINING, (), NOW)
    second = conditions(replace(SEARCHING, generation=2), first, LATER)
    searching, succeeded = (condition(second, name) for name in ("Searching", "Succeeded"))

    assert searching["lastTransitionTime"] == "2026-03-01T12:05:00Z"
    assert succeeded["reason"] != condition(first, "Succeeded")["reason"]
    assert succeeded["lastTransitionTime"] == "2026-03-01T12:00:00Z"
    assert succeeded["observedGeneration"] == 2


def test_conditions_stay_while_the_store_is_unread() -> None:
    before = conditions(pass_result(Phase.SEARCHING, jobs=trials(RUNNING)), (), NOW)
    after = conditions(replace(UNREAD, generation=2), before, LATER)

    for name in ("TeachersReady", "Searching", "Succeeded"):
        assert condition(after, name) == condition(before, name)
    assert condition(after, "Accepted")["status"] == "True"
    assert condition(after, "Degraded")["reason"] == "StoreUnavailable"


def test_suspended_stays_while_the_store_is_unread() -> None:
    before = conditions(SUSPENDED, (), NOW)

    assert condition(conditions(UNREAD, before, LATER), "Suspended") == condition(
        before, "Suspended"
    )


def test_search_suspended_while_the_store_is_unread_reports_both() -> None:
    suspended = replace(UNREAD, suspended=True)
    after = conditions(suspended, conditions(SEARCHING, (), NOW), LATER)

    assert condition(after, "Suspended")["reason"] == "SuspendedByUser"
    assert condition(after, "Searching")["reason"] == "SuspendedByUser"
    assert condition(after, "Degraded")["reason"] == "StoreUnavailable"
    resumed = conditions(UNREAD, after, LATER)
    assert condition(resumed, "Suspended") == condition(after, "Suspended")


def test_search_no_longer_accepted_reports_that_nothing_runs() -> None:
    after = conditions(NO_TENANT, conditions(SEARCHING, (), NOW), LATER)

    for name in ("Accepted", "Searching", "Succeeded"):
        found = condition(after, name)
        assert (found["status"], found["reason"]) == ("False", "CredentialsMissing")
    found = condition(after, "Suspended")
    assert (found["status"], found["reason"]) == ("False", "NotAccepted")
    assert "none of its jobs runs" in found["message"]


def test_succeeded_condition_stays_after_a_refusal_or_suspension() -> None:
    before = conditions(EXPORTED, (), NOW)

    for result in (REFUSED, replace(NEW_UNREAD, suspended=True)):
        assert condition(conditions(result, before, LATER), "Succeeded") == before[-1]


def test_conditions_after_a_second_refusal_have_its_reason() -> None:
    invalid = pass_result(not_accepted=Reason(ReasonCode.STORAGE_INVALID, "no bucket"))
    after = conditions(REFUSED, conditions(invalid, (), NOW), LATER)

    for name in ("Accepted", "Succeeded", "Degraded"):
        assert condition(after, name)["message"] == FORBIDDEN.message
        assert condition(after, name)["lastTransitionTime"] == "2026-03-01T12:00:00Z"


def test_condition_that_was_unknown_takes_the_reason_of_a_later_pass() -> None:
    refused = Reason(ReasonCode.STORE_REFUSED, "access denied")
    before = conditions(NEW_UNREAD, (), NOW)
    after = conditions(pass_result(problems=(refused,)), before, LATER)

    assert condition(after, "Accepted")["reason"] == "StoreRefused"
