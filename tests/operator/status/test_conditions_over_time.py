"""Conditions from pass to pass: what changes with the news, and what stays without any."""

from dataclasses import replace

from detnas.plan.stages import Phase
from detnas.reasons import Reason, ReasonCode
from detnas_operator.status.conditions import conditions
from tests.operator.status.found import (
    AWAY,
    FOLDER,
    LATER,
    NOW,
    RUNNING,
    SUCCEEDED,
    condition,
    found,
    searched,
    trials,
)


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
    away = found(None, folder=FOLDER, generation=2, problems=(AWAY,))
    after = conditions(away, before, LATER)

    for name in ("TeachersReady", "Searching", "Succeeded"):
        assert condition(after, name) == condition(before, name)
    assert condition(after, "Accepted")["status"] == "True"
    assert condition(after, "Degraded")["reason"] == "StoreUnavailable"


def test_a_suspended_search_stays_so_while_the_store_is_away():
    before = conditions(found(searched(), suspended=True), (), NOW)
    after = conditions(found(None, folder=FOLDER, problems=(AWAY,)), before, LATER)
    assert condition(after, "Suspended") == condition(before, "Suspended")


def test_a_search_that_is_suspended_while_the_store_is_away_says_both():
    before = conditions(found(searched()), (), NOW)
    away = found(None, folder=FOLDER, problems=(AWAY,), suspended=True)
    after = conditions(away, before, LATER)
    assert condition(after, "Suspended")["reason"] == "SuspendedByUser"
    assert condition(after, "Searching")["reason"] == "SuspendedByUser"
    assert condition(after, "Degraded")["reason"] == "StoreUnavailable"
    resumed = conditions(replace(away, suspended=False), after, LATER)
    assert condition(resumed, "Suspended") == condition(after, "Suspended")


def test_a_search_that_is_accepted_no_longer_says_that_nothing_runs():
    before = conditions(found(searched()), (), NOW)
    after = conditions(
        found(not_accepted=Reason(ReasonCode.CREDENTIALS_MISSING, "ask")), before, LATER
    )
    for name in ("Accepted", "Searching", "Succeeded"):
        said = condition(after, name)
        assert (said["status"], said["reason"]) == ("False", "CredentialsMissing")
    said = condition(after, "Suspended")
    assert (said["status"], said["reason"]) == ("False", "NotAccepted")
    assert "none of its jobs runs" in said["message"]


def test_a_search_that_succeeded_stays_so_whatever_comes():
    before = conditions(found(SUCCEEDED), (), NOW)
    for findings in (
        found(not_accepted=Reason(ReasonCode.STORAGE_FORBIDDEN, "y")),
        found(problems=(AWAY,), suspended=True),
    ):
        assert condition(conditions(findings, before, LATER), "Succeeded") == before[-1]


def test_a_second_refusal_says_its_own_reason():
    before = conditions(
        found(not_accepted=Reason(ReasonCode.STORAGE_INVALID, "no bucket")), (), NOW
    )
    after = conditions(
        found(not_accepted=Reason(ReasonCode.STORAGE_FORBIDDEN, "not yours")), before, LATER
    )

    for name in ("Accepted", "Succeeded", "Degraded"):
        assert condition(after, name)["message"] == "not yours"
        assert condition(after, name)["lastTransitionTime"] == "2026-03-01T12:00:00Z"


def test_unknown_is_no_knowledge_to_keep():
    before = conditions(found(problems=(AWAY,)), (), NOW)
    refused = replace(AWAY, reason=ReasonCode.STORE_REFUSED, message="access denied")
    after = conditions(found(problems=(refused,)), before, LATER)

    assert condition(after, "Accepted")["reason"] == "StoreRefused"
