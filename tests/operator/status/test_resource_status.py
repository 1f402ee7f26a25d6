"""The status of a search at some moments of its life, as people read it."""

import pytest

from detnas.plan.stages import DueJob, Phase, Verb
from detnas.reasons import Reason, ReasonCode
from detnas_operator.job_state.states import Failed, FailureKind, Succeeded, Terminating
from detnas_operator.status.pass_result import PassResult
from detnas_operator.status.resource_status import resource_status
from tests.operator.status.found import (
    AWAY,
    BASE,
    BEST,
    ENCODING,
    FOLDER,
    HALTED,
    LATER,
    NOW,
    POOL,
    RUNNING,
    STARTING,
    SUCCEEDED,
    UNIMPROVED,
    UNSCHEDULABLE,
    condition,
    detector,
    failed_trial,
    found,
    good_trial,
    says,
    searched,
    trials,
    waiting,
)

TRIAL = DueJob(Verb.EVALUATE, 2)


def midway() -> PassResult:
    """A search that has everything to show."""
    return found(
        searched(
            best=BEST,
            best_trial=0,
            top=(good_trial(0, BEST),),
            failures=(failed_trial(1, "OutOfMemory", "CUDA out of memory"),),
            outcomes={"Succeeded": 1, "OutOfMemory": 1, "Infrastructure": 3},
            active=(
                says(TRIAL, 40, loss=0.51234, seconds_left=61.6),
                says(DueJob(Verb.EVALUATE, 3), 7),
            ),
            seconds_left=3600.4,
        ),
        jobs=trials(RUNNING, UNSCHEDULABLE),
        gpu_seconds=12.52 * 3600,
        forgiven=4,
    )


def test_a_search_midway():
    status = resource_status(midway(), {}, NOW)

    assert status["phase"] == "Searching"
    assert status["observedGeneration"] == 1
    assert status["folder"] == FOLDER
    assert status["history"] == f"{FOLDER}/trials"
    assert status["image"] == "example.org/trainer@sha256:00"
    assert status["trials"] == {
        "total": 10,
        "finished": 2,
        "active": 2,
        "succeeded": 1,
        "invalid": 0,
        "outOfMemory": 1,
        "diverged": 0,
        "infrastructure": 3,
        "progress": "2/10",
    }
    assert status["teachers"] == {"progress": "Ready", "pool": POOL}
    assert status["base"]["h"] == "1.0000"
    assert status["base"]["uri"] == f"{FOLDER}/base"
    assert status["best"] == {
        "h": "1.2500",
        "map": "0.4100",
        "flops": 118_000_000_000,
        "resolution": "800x600",
        "encoding": ENCODING,
        "parameters": 41_000_000,
        "trial": 0,
        "uri": f"{FOLDER}/trials/0000",
    }
    assert status["flopsChange"] == "-41%"
    assert status["top"] == [
        {
            "trial": 0,
            "h": "1.2500",
            "map": "0.4100",
            "flops": 118_000_000_000,
            "resolution": "800x600",
        }
    ]
    assert status["failures"] == [
        {"trial": 1, "outcome": "OutOfMemory", "message": "CUDA out of memory"}
    ]
    assert (status["gpuHours"], status["secondsLeft"]) == ("12.5", 3600)
    assert status["forgivenTrials"] == 4


def test_an_exported_base_is_marked_and_a_student_is_not():
    base = resource_status(found(UNIMPROVED), {}, NOW)["exported"]
    assert (base["isBase"], base["h"]) == (True, "1.0000")
    assert "trial" not in base
    assert "isBase" not in resource_status(found(SUCCEEDED), {}, NOW)["exported"]


def test_what_was_exported_is_shown_until_there_is_another():
    before = resource_status(found(SUCCEEDED), {}, NOW)
    more = searched(Phase.SEARCHING, finished=10, trials=12, best=BEST, best_trial=7)
    during = resource_status(found(more), before, NOW)
    assert during["exported"] == before["exported"]
    assert during["phase"] == "Searching"

    other = SUCCEEDED.model_copy(update={"exported": BASE, "exported_trial": 11})
    assert resource_status(found(other), during, NOW)["exported"]["trial"] == 11


def test_active_jobs_say_what_they_do():
    running, blocked = resource_status(midway(), {}, NOW)["active"]

    assert running == {
        "job": "r101-t0002",
        "verb": "evaluate",
        "trial": 2,
        "activity": "training",
        "done": 40,
        "total": 100,
        "epoch": 1,
        "epochs": 3,
        "loss": "0.5123",
        "secondsLeft": 62,
        "started": "2026-03-01T12:00:00Z",
    }
    # Its last words are those of an attempt that was stopped.
    assert (blocked["activity"], blocked["done"]) == ("waiting: Unschedulable", 0)


@pytest.mark.parametrize(
    ("state", "activity"),
    [
        (RUNNING, "starting"),
        (STARTING, "starting"),
        (waiting(ReasonCode.QUEUED, ""), "waiting: Queued"),
        (Terminating("is being stopped", deleted=False), "stopping"),
        (Succeeded(), "ending"),
        (Failed(FailureKind.EVICTED, ""), "ending"),
    ],
)
def test_a_job_without_words_of_its_own_has_those_of_its_state(state, activity):
    status = resource_status(found(searched(), jobs=trials(state)), {}, NOW)

    assert status["active"][0]["activity"] == activity


def test_jobs_are_listed_in_the_order_they_are_due():
    jobs = trials(*[RUNNING] * 60)
    backwards = dict(reversed(jobs.items()))
    status = resource_status(found(searched(), jobs=backwards), {}, NOW)

    assert [one["trial"] for one in status["active"]] == list(range(2, 52))
    assert status["trials"]["active"] == 60


@pytest.mark.parametrize(
    ("flops", "change"),
    [
        (100_000_000_000, "-50%"),
        (200_000_000_000, "0%"),
        (200_100_000_000, "0%"),
        (206_000_000_000, "+3%"),
        (2_000_000_000_000, "+900%"),
    ],
)
def test_flops_change_prints_well(flops, change):
    best = detector(1.1, 0.4, flops)
    status = resource_status(found(searched(best=best, best_trial=0)), {}, NOW)

    assert status["flopsChange"] == change
    assert change.isascii()


@pytest.mark.parametrize(
    ("findings", "progress"),
    [
        (found(searched(Phase.PREPARING)), ""),
        (found(searched(Phase.TRAINING)), "1/3"),
        (found(searched(Phase.TRAINING), pool_holder="team-a/first"), "Waiting"),
        (found(searched(Phase.TRAINING), pool_phases=(3, 3)), "Ready"),
        (found(searched(Phase.EXPORTING)), "Ready"),
        (found(searched(Phase.FAILED, problem="phase 1 of the pool"), pool_phases=(1, 3)), "1/3"),
    ],
)
def test_how_far_the_teachers_are(findings, progress):
    assert resource_status(findings, {}, NOW)["teachers"]["progress"] == progress


@pytest.mark.parametrize(
    ("findings", "before", "phase"),
    [
        (found(), "", "Pending"),
        (found(not_accepted=Reason(ReasonCode.STORAGE_FORBIDDEN, "x")), "Searching", "Pending"),
        (found(not_accepted=Reason(ReasonCode.STORAGE_FORBIDDEN, "x")), "Succeeded", "Succeeded"),
        (found(searched(Phase.TRAINING)), "Preparing", "TrainingTeachers"),
        (found(searched(), suspended=True), "Searching", "Suspended"),
        (found(searched(), blocked=HALTED), "Searching", "Suspended"),
        (found(searched()), "Suspended", "Searching"),
        (found(searched(Phase.SUCCEEDED), suspended=True), "Exporting", "Succeeded"),
        (found(searched(Phase.FAILED, problem="x"), suspended=True), "Searching", "Failed"),
        (found(problems=(AWAY,)), "Searching", "Searching"),
        (found(problems=(AWAY,), suspended=True), "Searching", "Suspended"),
        (found(problems=(AWAY,), suspended=True), "Succeeded", "Succeeded"),
        (found(problems=(AWAY,)), "Suspended", "Suspended"),
    ],
)
def test_the_phase(findings, before, phase):
    status = resource_status(findings, {"phase": before} if before else {}, NOW)

    assert status["phase"] == phase


def test_nobody_waits_for_the_end_of_what_stands_still():
    suspended = found(searched(seconds_left=60.0), suspended=True)

    assert "secondsLeft" not in resource_status(suspended, {}, NOW)


def test_while_the_store_is_away_figures_stay():
    before = resource_status(midway(), {}, NOW)
    after = resource_status(found(None, generation=2, problems=(AWAY,)), before, LATER)
    told = {"observedGeneration", "conditions"}

    assert {key: after[key] for key in after if key not in told} == {
        key: before[key] for key in before if key not in told
    }
    assert after["observedGeneration"] == 2
    assert "s3://lab does not answer" in condition(after, "Degraded")["message"]


def test_what_is_no_more_is_not_kept():
    before = resource_status(midway(), {}, NOW)
    done = found(searched(Phase.EXPORTING, finished=10, best=BEST, best_trial=0))
    after = resource_status(done, before, LATER)

    assert after["active"] == []
    assert "secondsLeft" not in after
