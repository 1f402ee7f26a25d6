"""The status of a search at some moments of its life, as people read it."""

from dataclasses import replace
from typing import Any

import pytest

from detnas.lifecycle.status import ComparedDetector, DetectorStatus, OnTest, TrialStatus
from detnas.plan.front import MeasuredDetector
from detnas.plan.recommendation import MeasuredLatency, Recommendation
from detnas.plan.stages import JobId, Phase
from detnas.reasons import ReasonCode
from detnas.records.results import Latency
from detnas.records.verbs import Verb
from detnas_operator.job_state.state import (
    Failed,
    FailureKind,
    JobState,
    Succeeded,
    Terminating,
    Waiting,
)
from detnas_operator.status.pass_result import PassResult
from detnas_operator.status.resource_status import resource_status
from tests.operator.status.pass_results import (
    BASE,
    BEST,
    ENCODING,
    FOLDER,
    FORBIDDEN,
    LATER,
    NOW,
    OVER_BUDGET,
    POOL,
    RESOLUTION,
    RUNNING,
    STARTING,
    STORE_AWAY,
    SUCCEEDED,
    UNIMPROVED,
    UNREAD,
    UNSCHEDULABLE,
    condition,
    detector,
    failed_trial,
    good_trial,
    pass_result,
    search_state,
    trials,
    with_progress,
)

TRIAL = JobId(Verb.EVALUATE, 2)
MIDWAY = pass_result(
    search_state(
        best=BEST,
        best_trial=0,
        best_job=0,
        top=(good_trial(0, BEST),),
        failures=(failed_trial(1, "OutOfMemory", "CUDA out of memory"),),
        outcomes={"Succeeded": 1, "OutOfMemory": 1, "Infrastructure": 3},
        active=(
            with_progress(TRIAL, 40, loss=0.51234, seconds_left=61.6),
            with_progress(JobId(Verb.EVALUATE, 3), 7),
        ),
        seconds_left=3600.4,
    ),
    jobs=trials(RUNNING, UNSCHEDULABLE),
    gpu_seconds=12.52 * 3600,
    forgiven=4,
)
"""Of a search that has everything to show."""


def status_of(result: PassResult, before: dict[str, Any] | None = None) -> dict[str, Any]:
    return resource_status(result, before or {}, LATER if before else NOW)


def test_status_of_a_search_midway_has_its_figures() -> None:
    status = status_of(MIDWAY)
    figures = {
        "h": "1.2500",
        "map": "0.4100",
        "flops": 118_000_000_000,
        "resolution": "800x600",
        "trial": 0,
    }

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
    uri = f"{FOLDER}/trials/0000"
    assert status["best"] == {**figures, "encoding": ENCODING, "parameters": 41_000_000, "uri": uri}
    assert status["flopsChange"] == "-41%"
    assert status["top"] == [figures]
    assert status["failures"] == [
        {"trial": 1, "outcome": "OutOfMemory", "message": "CUDA out of memory"}
    ]
    assert (status["gpuHours"], status["secondsLeft"]) == ("12.5", 3600)
    assert status["forgivenTrials"] == 4


def test_exported_base_is_marked_and_a_student_is_not() -> None:
    base = status_of(pass_result(UNIMPROVED))["exported"]

    assert (base["isBase"], base["h"]) == (True, "1.0000")
    assert "trial" not in base
    assert "isBase" not in status_of(pass_result(SUCCEEDED))["exported"]


def test_exported_student_stays_until_another_replaces_it() -> None:
    before = status_of(pass_result(SUCCEEDED))
    more = search_state(finished=10, trials=12, best=BEST, best_trial=7)
    during = status_of(pass_result(more), before)
    other = SUCCEEDED.model_copy(update={"exported": BASE, "exported_trial": 11})

    assert during["exported"] == before["exported"]
    assert during["phase"] == "Searching"
    assert status_of(pass_result(other), during)["exported"]["trial"] == 11


def test_active_job_has_its_progress_or_what_it_waits_for() -> None:
    running, waiting = status_of(MIDWAY)["active"]

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
    # The stored progress is that of an attempt that was stopped.
    assert (waiting["activity"], waiting["done"]) == ("waiting: Unschedulable", 0)


@pytest.mark.parametrize(
    ("state", "activity"),
    [
        (RUNNING, "starting"),
        (STARTING, "starting"),
        (Waiting(ReasonCode.QUEUED, ""), "waiting: Queued"),
        (Waiting(ReasonCode.STOPPING, ""), "stopping"),
        (Terminating("is being stopped", deleted=False), "stopping"),
        (Succeeded(), "ending"),
        (Failed(FailureKind.EVICTED, ""), "ending"),
    ],
)
def test_active_job_without_progress_has_the_activity_of_its_state(
    state: JobState, activity: str
) -> None:
    status = status_of(pass_result(Phase.SEARCHING, jobs=trials(state)))

    assert status["active"][0]["activity"] == activity


def test_active_jobs_are_listed_in_the_order_they_are_due() -> None:
    jobs = trials(*[RUNNING] * 60)
    status = status_of(pass_result(Phase.SEARCHING, jobs=dict(reversed(jobs.items()))))

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
def test_flops_change_is_a_rounded_percentage(flops: int, change: str) -> None:
    best = search_state(best=detector(1.1, 0.4, flops), best_trial=0)

    assert status_of(pass_result(best))["flopsChange"] == change


def test_latency_change_is_stated_if_latencies_count() -> None:
    def timed(found: DetectorStatus, milliseconds: float) -> DetectorStatus:
        latency = Latency(resolution=RESOLUTION, milliseconds=milliseconds, device="GPU")
        return found.model_copy(update={"latency": latency})

    state = search_state(base=timed(BASE, 40.0), best=timed(BEST, 31.25), best_trial=0)
    status = status_of(pass_result(state))
    assert status["latencyChange"] == "-22%"
    assert float(status["best"]["latencyMs"]) == 31.25
    by_flops = status_of(pass_result(search_state(best=BEST, best_trial=0)))
    assert by_flops.get("latencyChange") is None
    assert "latencyMs" not in by_flops["best"]


POOL_FAILED = search_state(Phase.FAILED, problem="phase 1 of the pool")


@pytest.mark.parametrize(
    ("result", "progress"),
    [
        (pass_result(Phase.PREPARING), ""),
        (pass_result(Phase.TRAINING), "1/3"),
        (pass_result(Phase.TRAINING, pool_holder="team-a/first"), "Waiting"),
        (pass_result(Phase.TRAINING, pool_phases=(3, 3)), "Ready"),
        (pass_result(Phase.TRAINING, pool_phases=(0, 0)), "Ready"),  # an external teacher
        (pass_result(Phase.PREPARING, pool_phases=(0, 0)), ""),
        (pass_result(Phase.EXPORTING), "Ready"),
        (pass_result(POOL_FAILED, pool_phases=(1, 3)), "1/3"),
    ],
)
def test_progress_of_the_teachers_follows_the_trained_phases(
    result: PassResult, progress: str
) -> None:
    assert status_of(result)["teachers"]["progress"] == progress


@pytest.mark.parametrize(
    ("result", "before", "phase"),
    [
        (pass_result(), "", "Pending"),
        (pass_result(not_accepted=FORBIDDEN), "Searching", "Pending"),
        (pass_result(not_accepted=FORBIDDEN), "Succeeded", "Succeeded"),
        (pass_result(Phase.TRAINING), "Preparing", "TrainingTeachers"),
        (pass_result(Phase.SEARCHING, suspended=True), "Searching", "Suspended"),
        (pass_result(Phase.SEARCHING, blocked=OVER_BUDGET), "Searching", "Suspended"),
        (pass_result(Phase.SEARCHING), "Suspended", "Searching"),
        (pass_result(Phase.SUCCEEDED, suspended=True), "Exporting", "Succeeded"),
        (pass_result(POOL_FAILED, suspended=True), "Searching", "Failed"),
        (UNREAD, "Searching", "Searching"),
        (replace(UNREAD, suspended=True), "Searching", "Suspended"),
        (replace(UNREAD, suspended=True), "Succeeded", "Succeeded"),
        (UNREAD, "Suspended", "Suspended"),
    ],
)
def test_phase_of_a_status_follows_search_and_block(
    result: PassResult, before: str, phase: str
) -> None:
    assert status_of(result, {"phase": before} if before else {})["phase"] == phase


def test_suspended_search_has_no_estimate() -> None:
    suspended = pass_result(search_state(seconds_left=60.0), suspended=True)

    assert "secondsLeft" not in status_of(suspended)


def test_figures_stay_while_the_store_is_unread() -> None:
    before = status_of(MIDWAY)
    after = status_of(pass_result(generation=2, problems=(STORE_AWAY,)), before)

    changed = {key for key in after.keys() | before.keys() if after.get(key) != before.get(key)}
    assert changed == {"observedGeneration", "conditions"}
    assert after["observedGeneration"] == 2
    assert "s3://lab does not answer" in condition(after, "Degraded")["message"]


def test_ended_jobs_and_estimate_are_removed() -> None:
    done = search_state(Phase.EXPORTING, finished=10, best=BEST, best_trial=0)
    after = status_of(pass_result(done), status_of(MIDWAY))

    assert after["active"] == []
    assert "secondsLeft" not in after


def test_status_names_the_front_and_the_recommended_detectors() -> None:
    point = MeasuredDetector(
        trial=7, resolution=RESOLUTION, map=0.41, map_error=0.004, flops=118_000_000_000, h=1.25
    )
    latency = MeasuredLatency(trial=7, resolution=RESOLUTION, device="H200", milliseconds=9.81)
    search = SUCCEEDED.model_copy(
        update={
            "front": (point,),
            "recommended": (
                Recommendation(
                    objective="edge", detector=point, latency=latency, map=0.41, reason="it fits"
                ),
                Recommendation(objective="phone", reason="none fits"),
            ),
        }
    )
    status = status_of(pass_result(search))
    figures = {"detector": "trial 7", "trial": 7, "resolution": "800x600", "map": "0.4100"}
    figures["flops"] = 118_000_000_000
    assert status["front"] == [{**figures, "mapError": "0.0040"}]
    assert status["recommended"] == [
        {"objective": "edge", **figures, "latencyMs": "9.8100", "reason": "it fits"},
        {"objective": "phone", "reason": "none fits"},
    ]


def test_scores_of_the_status_have_their_standard_errors() -> None:
    tested = OnTest(h=0.9, map=0.38, h_error=0.02, map_error=0.01)
    exact = {"h_error": 0.012, "map_error": 0.006}
    detector = BEST.model_copy(update={**exact, "on_test": tested})
    top = TrialStatus(
        number=7, outcome="Succeeded", h=1.2, h_error=0.012, resolution=RESOLUTION, map=0.4, flops=9
    )
    compared = (ComparedDetector(name="trial 7", detector=detector),)
    search = SUCCEEDED.model_copy(update={"compared": compared, "best": detector, "top": (top,)})
    status = status_of(pass_result(search))
    (one,) = status["compared"]
    assert (one["hError"], one["mapError"]) == ("0.0120", "0.0060")
    assert (one["testHError"], one["testMapError"]) == ("0.0200", "0.0100")
    assert (status["best"]["hError"], status["best"]["mapError"]) == ("0.0120", "0.0060")
    assert status["top"][0]["hError"] == "0.0120"


def test_exported_detector_is_among_those_that_the_status_compares() -> None:
    """Of sixteen candidates the last may win; a status lists eight detectors."""
    names = ["base", *(f"trial {number}, fine-tuned" for number in range(16))]
    compared = tuple(
        ComparedDetector(name=name, detector=BEST, exported=name.startswith("trial 15"))
        for name in names
    )
    status = resource_status(replace(MIDWAY, search=search_state(compared=compared)), {}, NOW)
    listed = [one["name"] for one in status["compared"]]
    assert listed == [names[0], names[16], *names[1:7]]
