"""Events: each change once, in words for people."""

from datetime import timedelta
from typing import Any

import pytest

from detnas.plan.stages import JobId, Phase
from detnas.reasons import Reason, ReasonCode
from detnas.records.verbs import Verb
from detnas_operator.job_state.state import Waiting
from detnas_operator.status.events import Event, event_body, event_name, events
from detnas_operator.status.pass_result import PassResult
from detnas_operator.status.resource_status import resource_status
from tests.operator.status.pass_results import (
    BEST,
    FORBIDDEN,
    NO_GPU,
    NOW,
    OVER_BUDGET,
    RUNNING,
    STORE_AWAY,
    UNREAD,
    UNSCHEDULABLE,
    WARNINGS,
    detector,
    failed_trial,
    job,
    pass_result,
    search_state,
    trials,
)


def running(**fields: Any) -> PassResult:
    """A search of which a trial runs."""
    return pass_result(search_state(**fields), jobs=trials(RUNNING))


SEARCHING = running()
TRAINING = pass_result(Phase.TRAINING)
WAITING_FOR_POOL = pass_result(Phase.TRAINING, pool_holder="team-a/first")
REFUSED = pass_result(not_accepted=FORBIDDEN)
FIRST_BEST = running(best=BEST, best_trial=0)
SUSPENDED = pass_result(Phase.SEARCHING, suspended=True)
BLOCKED = pass_result(Phase.SEARCHING, blocked=OVER_BUDGET)
RESUMED = [("Normal", "Resumed", "continues: Searching")]


def told(*passes: PassResult) -> list[tuple[str, str, str]]:
    """The events of the last of these passes."""
    before: dict[str, Any] = {}
    last: tuple[Event, ...] = ()
    for result in passes:
        after = resource_status(result, before, NOW)
        last = events(before, after)
        before = after
    return [(event.type, event.code, event.message) for event in last]


def reasons(*passes: PassResult) -> list[str]:
    return [reason for _, reason, _ in told(*passes)]


def messages(*passes: PassResult) -> list[str]:
    return [message for *_, message in told(*passes)]


def test_refusal_is_reported_once() -> None:
    third = Reason(ReasonCode.STORAGE_FORBIDDEN, "s3://third is not allowed")
    other = pass_result(not_accepted=third)

    assert told(REFUSED) == [("Warning", "StorageForbidden", FORBIDDEN.message)]
    assert told(REFUSED, REFUSED) == []
    assert told(REFUSED, other) == [("Warning", "StorageForbidden", third.message)]


def test_search_accepted_after_a_refusal_reports_that_only() -> None:
    assert reasons(REFUSED, pass_result(Phase.PREPARING)) == ["Accepted", "Preparing"]


def test_warnings_are_reported_once_the_data_is_checked() -> None:
    checking = pass_result(Phase.PREPARING)
    warned = pass_result(search_state(Phase.TRAINING, warnings=WARNINGS))

    def warnings(*passes: PassResult) -> list[str]:
        return [message for _, reason, message in told(*passes) if reason == "DoesNotFitData"]

    (message,) = warnings(checking, warned)
    assert all(warning in message for warning in WARNINGS)
    assert warnings(warned) == [message], "also if the first pass finds it"
    assert warnings(checking, warned, warned) == []
    assert warnings(checking, warned, UNREAD) == []
    assert warnings(checking, warned, UNREAD, warned) == []


def test_new_best_states_its_gain() -> None:
    message = "trial 0: H 1.2500 (base 1.0000), mAP 0.4100 (base 0.4000), FLOPs -41% at 800x600"

    assert told(SEARCHING, FIRST_BEST) == [("Normal", "NewBest", message)]
    assert told(SEARCHING, FIRST_BEST, FIRST_BEST) == []
    better = running(best=detector(1.5, 0.42, 10**11), best_trial=5)
    assert reasons(FIRST_BEST, better)[0] == "NewBest"
    assert "trial 5: H 1.5000" in messages(FIRST_BEST, better)[0]


def test_failed_trial_is_reported_once() -> None:
    def after(*numbers: int) -> PassResult:
        return running(failures=tuple(failed_trial(n, "OutOfMemory", f"of {n}") for n in numbers))

    assert told(SEARCHING, after(1)) == [("Warning", "TrialFailed", "trial 1: out of memory: of 1")]
    assert messages(after(1, 2), after(1, 2, 4, 3)) == [
        "trial 4: out of memory: of 4",
        "trial 3: out of memory: of 3",
    ]
    assert messages(after(1, 2, 3, 4, 5), after(2, 3, 4, 5, 6))[0].startswith("trial 6")
    assert told(after(1), after(1)) == []


def test_trials_that_fail_alike_are_separate_events() -> None:
    alike = tuple(failed_trial(n, "Diverged", "") for n in (1, 2))
    failing = pass_result(search_state(failures=alike))

    assert messages(SEARCHING, failing) == ["trial 1: diverged", "trial 2: diverged"]


@pytest.mark.parametrize("reason", [ReasonCode.UNSCHEDULABLE, ReasonCode.IMAGE_PULL])
def test_waiting_job_is_reported_and_that_it_recovered(reason: ReasonCode) -> None:
    waits = pass_result(Phase.SEARCHING, jobs=trials(Waiting(reason, NO_GPU)))

    assert told(SEARCHING, waits) == [("Warning", reason, f"Job r101-t0002 waits: {NO_GPU}")]
    assert told(SEARCHING, waits, waits) == []
    assert told(SEARCHING, waits, SEARCHING) == [("Normal", "Recovered", f"resolved: {reason}")]


def test_other_number_of_waiting_jobs_is_no_event() -> None:
    one, two = (
        pass_result(Phase.SEARCHING, jobs=trials(*[UNSCHEDULABLE] * number)) for number in (1, 2)
    )

    assert told(SEARCHING, one, two) == []


def test_degraded_condition_with_another_reason_is_an_event() -> None:
    waits = pass_result(Phase.SEARCHING, jobs=trials(UNSCHEDULABLE))
    away = pass_result(problems=(STORE_AWAY,))

    assert told(SEARCHING, waits, away) == [("Warning", STORE_AWAY.code, STORE_AWAY.message)]


def test_queued_job_is_no_warning() -> None:
    queued = trials(Waiting(ReasonCode.QUEUED, "in queue gpus"))

    assert told(SEARCHING, pass_result(Phase.SEARCHING, jobs=queued)) == []


def test_suspending_and_resuming_are_reported() -> None:
    (kind, reason, message), *rest = told(SEARCHING, SUSPENDED)

    assert (kind, reason, rest) == ("Normal", "Suspended", [])
    assert "spec.suspend" in message
    assert told(SEARCHING, SUSPENDED, SEARCHING) == RESUMED


def test_block_is_one_warning_and_its_end_one_event() -> None:
    blocked_and_away = pass_result(Phase.SEARCHING, blocked=OVER_BUDGET, problems=(STORE_AWAY,))

    assert told(SEARCHING, BLOCKED) == [("Warning", "BudgetUsedUp", OVER_BUDGET.message)]
    assert reasons(SEARCHING, blocked_and_away) == ["BudgetUsedUp"]
    assert told(SEARCHING, BLOCKED, SEARCHING) == RESUMED


def test_suspending_a_blocked_search_is_reported() -> None:
    assert reasons(BLOCKED, SUSPENDED) == ["Suspended"]


def test_waiting_for_a_pool_and_taking_it_over_are_reported() -> None:
    assert reasons(TRAINING, WAITING_FOR_POOL) == ["WaitingForPool"]
    assert told(WAITING_FOR_POOL, WAITING_FOR_POOL) == []
    assert told(WAITING_FOR_POOL, TRAINING) == [
        ("Normal", "PoolTakenOver", "training the pool itself: 1 of 3 phases are trained")
    ]


def test_failed_search_is_reported_once() -> None:
    problem = "preparing the data failed: no train.json"
    failed = pass_result(search_state(Phase.FAILED, problem=problem), pool_phases=(0, 0))
    remedy = (
        "a mistake in spec is corrected in a new search (delete this one and apply it again); once "
        "the cause is fixed, set spec.suspend to true and then to false to try again"
    )

    assert told(pass_result(Phase.PREPARING), failed) == [
        ("Warning", "Failed", f"{problem}; {remedy}")
    ]
    assert told(failed, failed) == []


def test_job_that_may_soon_find_a_place_is_no_event() -> None:
    job_id = JobId(Verb.EVALUATE, 2)
    new = pass_result(Phase.SEARCHING, jobs={job_id: job(job_id, UNSCHEDULABLE, waiting_since=NOW)})

    assert told(SEARCHING, new) == []


def test_event_is_never_too_long() -> None:
    failure = {"trial": 1, "outcome": "Invalid", "message": "☃" * 2000}
    (event,) = events({}, {"failures": [failure]})

    assert len(event.message.encode()) <= 1024


METADATA: dict[str, Any] = {
    "name": "r101",
    "namespace": "team-a",
    "uid": "0a1b2c3d-0000-0000-0000-000000000000",
    "resourceVersion": "17",
}
RESOURCE: dict[str, Any] = {"metadata": METADATA}
EVENT = Event("Warning", ReasonCode.TRIAL_FAILED, "trial 1: diverged")


def changed(**metadata: str) -> dict[str, Any]:
    """The resource with other metadata."""
    return {"metadata": {**METADATA, **metadata}}


def test_event_body_is_complete_for_kubectl() -> None:
    body = event_body(EVENT, RESOURCE, NOW)

    assert body["involvedObject"]["uid"] == METADATA["uid"]
    assert body["involvedObject"]["namespace"] == body["metadata"]["namespace"] == "team-a"
    assert (body["type"], body["reason"]) == ("Warning", "TrialFailed")
    assert body["message"] == "trial 1: diverged"
    assert body["reportingComponent"] == "detnas-operator"
    assert body["eventTime"] == "2026-03-01T12:00:00.000000Z"
    # With eventTime set the API server requires both.
    assert body["action"]
    assert body["reportingInstance"]


def test_event_name_of_a_change_reported_again_is_the_same() -> None:
    again = event_body(EVENT, RESOURCE, NOW + timedelta(minutes=1))

    assert again["metadata"] == event_body(EVENT, RESOURCE, NOW)["metadata"]


def test_event_name_of_another_change_differs() -> None:
    names = {
        event_name(EVENT, RESOURCE),
        event_name(EVENT, changed(resourceVersion="18")),
        event_name(EVENT, changed(uid="another")),
        event_name(Event("Warning", EVENT.code, "trial 2: diverged"), RESOURCE),
        event_name(Event("Warning", ReasonCode.FAILED, EVENT.message), RESOURCE),
    }

    assert len(names) == 5
    for name in names:
        assert name.startswith("r101.")
        assert name == name.lower()
