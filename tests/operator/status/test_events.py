"""Events: each change once, in words for people."""

from datetime import timedelta
from typing import Any

import pytest

from detnas.plan.stages import DueJob, Phase, Verb
from detnas.reasons import Reason, ReasonCode
from detnas_operator.status.events import Event, event_body, event_name, events
from detnas_operator.status.pass_result import PassResult
from detnas_operator.status.resource_status import resource_status
from tests.operator.status.found import (
    AWAY,
    BEST,
    FOLDER,
    FULL,
    HALTED,
    NOW,
    RUNNING,
    UNSCHEDULABLE,
    WARNINGS,
    detector,
    failed_trial,
    found,
    job,
    searched,
    trials,
    waiting,
)

SEARCHING = found(searched(), jobs=trials(RUNNING))
TRAINING = found(searched(Phase.TRAINING))
WAITING_FOR_POOL = found(searched(Phase.TRAINING), pool_holder="team-a/first")
REFUSED = found(not_accepted=Reason(ReasonCode.STORAGE_FORBIDDEN, "s3://other is not allowed"))
FIRST_BEST = found(searched(best=BEST, best_trial=0), jobs=trials(RUNNING))


def told(*passes: PassResult) -> list[tuple[str, str, str]]:
    """The events of the last of these passes."""
    before: dict[str, Any] = {}
    last: tuple[Event, ...] = ()
    for findings in passes:
        after = resource_status(findings, before, NOW)
        last = events(before, after)
        before = after
    return [(event.type, event.reason, event.message) for event in last]


def test_a_refusal_is_told_once():
    other = found(not_accepted=Reason(ReasonCode.STORAGE_FORBIDDEN, "s3://third is not allowed"))

    assert told(REFUSED) == [("Warning", "StorageForbidden", "s3://other is not allowed")]
    assert told(REFUSED, REFUSED) == []
    assert told(REFUSED, other) == [("Warning", "StorageForbidden", "s3://third is not allowed")]


def test_who_is_accepted_after_a_refusal_reads_just_that():
    reasons = [reason for _, reason, _ in told(REFUSED, found(searched(Phase.PREPARING)))]

    assert reasons == ["Accepted", "Preparing"]


def test_what_does_not_fit_the_data_is_told_once_the_data_is_checked():
    checking = found(searched(Phase.PREPARING))
    warned = found(searched(Phase.TRAINING, warnings=WARNINGS))
    unread = found(folder=FOLDER, problems=(AWAY,))

    def warnings(*passes: PassResult) -> list[str]:
        return [message for _, reason, message in told(*passes) if reason == "DoesNotFitData"]

    (message,) = warnings(checking, warned)
    assert all(warning in message for warning in WARNINGS)
    assert warnings(warned) == [message], "also where the first pass finds it"
    assert warnings(checking, warned, warned) == []
    assert warnings(checking, warned, unread) == []
    assert warnings(checking, warned, unread, warned) == []


def test_a_new_best_says_what_it_gains():
    message = "trial 0: H 1.2500 (base 1.0000), mAP 0.4100 (base 0.4000), FLOPs -41% at 800x600"

    assert told(SEARCHING, FIRST_BEST) == [("Normal", "NewBest", message)]
    assert told(SEARCHING, FIRST_BEST, FIRST_BEST) == []
    better = found(searched(best=detector(1.5, 0.42, 10**11), best_trial=5), jobs=trials(RUNNING))
    assert told(FIRST_BEST, better)[0][1] == "NewBest"
    assert "trial 5: H 1.5000" in told(FIRST_BEST, better)[0][2]


def test_every_failed_trial_is_told_once():
    def after(*numbers):
        failures = tuple(failed_trial(n, "OutOfMemory", f"of {n}") for n in numbers)
        return found(searched(failures=failures), jobs=trials(RUNNING))

    assert told(SEARCHING, after(1)) == [("Warning", "TrialFailed", "trial 1: out of memory: of 1")]
    assert [message for *_, message in told(after(1, 2), after(1, 2, 4, 3))] == [
        "trial 4: out of memory: of 4",
        "trial 3: out of memory: of 3",
    ]
    assert told(after(1, 2, 3, 4, 5), after(2, 3, 4, 5, 6))[0][2].startswith("trial 6")
    assert told(after(1), after(1)) == []


def test_two_trials_that_fail_alike_are_two_events():
    alike = tuple(failed_trial(n, "Diverged", "") for n in (1, 2))
    messages = [message for *_, message in told(SEARCHING, found(searched(failures=alike)))]

    assert messages == ["trial 1: diverged", "trial 2: diverged"]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [(ReasonCode.UNSCHEDULABLE, "Warning"), (ReasonCode.IMAGE_PULL, "Warning")],
)
def test_what_holds_a_search_up_is_told_and_that_it_is_over(reason, kind):
    blocked = found(searched(), jobs=trials(waiting(reason, FULL)))

    assert told(SEARCHING, blocked) == [(kind, reason, f"job r101-t0002 waits: {FULL}")]
    assert told(SEARCHING, blocked, blocked) == []
    assert told(SEARCHING, blocked, SEARCHING) == [("Normal", "Recovered", f"resolved: {reason}")]


def test_another_number_of_jobs_that_wait_is_no_news():
    one, two = (found(searched(), jobs=trials(*[UNSCHEDULABLE] * n)) for n in (1, 2))

    assert told(SEARCHING, one, two) == []


def test_another_reason_is_news():
    blocked = found(searched(), jobs=trials(UNSCHEDULABLE))
    away = found(None, problems=(AWAY,))

    assert told(SEARCHING, blocked, away) == [("Warning", AWAY.reason, AWAY.message)]


def test_a_queue_is_no_warning():
    queued = found(searched(), jobs=trials(waiting(ReasonCode.QUEUED, "in queue gpus")))

    assert told(SEARCHING, queued) == []


def test_suspending_and_resuming():
    suspended = found(searched(), suspended=True)
    (kind, reason, message), *rest = told(SEARCHING, suspended)

    assert (kind, reason, rest) == ("Normal", "Suspended", [])
    assert "spec.suspend" in message
    assert told(SEARCHING, suspended, SEARCHING) == [("Normal", "Resumed", "continues: Searching")]


def test_a_halt_is_one_warning_and_its_end_one_event():
    halted = found(searched(), blocked=HALTED)
    halted_and_away = found(searched(), blocked=HALTED, problems=(AWAY,))

    assert told(SEARCHING, halted) == [("Warning", "BudgetUsedUp", HALTED.message)]
    assert [reason for _, reason, _ in told(SEARCHING, halted_and_away)] == ["BudgetUsedUp"]
    assert told(SEARCHING, halted, SEARCHING) == [("Normal", "Resumed", "continues: Searching")]


def test_a_user_who_suspends_what_was_halted_is_answered():
    halted, suspended = found(searched(), blocked=HALTED), found(searched(), suspended=True)

    assert [reason for _, reason, _ in told(halted, suspended)] == ["Suspended"]


def test_waiting_for_a_pool_and_taking_it_over():
    assert [reason for _, reason, _ in told(TRAINING, WAITING_FOR_POOL)] == ["WaitingForPool"]
    assert told(WAITING_FOR_POOL, WAITING_FOR_POOL) == []
    assert told(WAITING_FOR_POOL, TRAINING) == [
        ("Normal", "PoolTakenOver", "training the pool itself: 1 of 3 phases are trained")
    ]


def test_a_search_that_failed_says_so_once():
    problem = "preparing the data failed: no train.json"
    failed = found(searched(Phase.FAILED, problem=problem), pool_phases=(0, 0))

    remedy = (
        "a mistake in spec is corrected in a new search (delete this one and apply it again); once "
        "the cause is fixed, set spec.suspend to true and then to false to try again"
    )
    assert told(found(searched(Phase.PREPARING)), failed) == [
        ("Warning", "Failed", f"{problem}; {remedy}")
    ]
    assert told(failed, failed) == []


def test_an_event_is_never_too_long():
    failure = {"trial": 1, "outcome": "Invalid", "message": "☃" * 2000}
    (event,) = events({}, {"failures": [failure]})

    assert len(event.message.encode()) <= 1024


RESOURCE: dict[str, Any] = {
    "apiVersion": "detnas.dev/v1alpha1",
    "kind": "DetNASSearch",
    "metadata": {
        "name": "r101",
        "namespace": "team-a",
        "uid": "0a1b2c3d-0000-0000-0000-000000000000",
        "resourceVersion": "17",
    },
}
EVENT = Event("Warning", ReasonCode.TRIAL_FAILED, "trial 1: diverged")


def changed(**metadata: str) -> dict[str, Any]:
    """The resource with other metadata."""
    return {**RESOURCE, "metadata": {**RESOURCE["metadata"], **metadata}}


def test_an_events_body_is_what_kubectl_looks_for():
    body = event_body(EVENT, RESOURCE, NOW)

    assert body["involvedObject"]["uid"] == RESOURCE["metadata"]["uid"]
    assert body["involvedObject"]["namespace"] == body["metadata"]["namespace"] == "team-a"
    assert (body["type"], body["reason"], body["message"]) == (
        "Warning",
        "TrialFailed",
        "trial 1: diverged",
    )
    assert body["reportingComponent"] == "detnas-operator"
    assert body["eventTime"] == "2026-03-01T12:00:00.000000Z"
    # With eventTime set the API server asks for both.
    assert body["action"]
    assert body["reportingInstance"]


def test_the_same_change_told_again_is_the_same_event():
    again = event_body(EVENT, RESOURCE, NOW + timedelta(minutes=1))

    assert again["metadata"] == event_body(EVENT, RESOURCE, NOW)["metadata"]


def test_another_change_is_another_event():
    names = {
        event_name(EVENT, RESOURCE),
        event_name(EVENT, changed(resourceVersion="18")),
        event_name(EVENT, changed(uid="another")),
        event_name(Event("Warning", ReasonCode.TRIAL_FAILED, "trial 2: diverged"), RESOURCE),
        event_name(Event("Warning", ReasonCode.FAILED, EVENT.message), RESOURCE),
    }

    assert len(names) == 5
    for name in names:
        assert name.startswith("r101.")
        assert name == name.lower()


def test_a_place_that_is_soon_free_makes_no_event():
    due = DueJob(Verb.EVALUATE, 2)
    new = found(searched(), jobs={due: job(due, UNSCHEDULABLE, waiting_since=NOW)})

    assert told(SEARCHING, new) == []
