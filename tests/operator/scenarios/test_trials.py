"""Whatever becomes of a trial's pods, the search ends as it should and says what happened.

All searches of this module run at the same time, each with one trial that goes another way.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from detnas.records.results import Outcome, Result
from tests.cluster.pods import Script
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.scripts import (
    evicted,
    exits,
    lost_with_its_node,
    oom_killed,
    preempted,
    runs_for_ever,
    succeeds,
)
from tests.operator.harness.behaviours import (
    leaves_a_checkpoint,
    outgrows_its_volume,
    publishes,
    reports,
    unpublished,
    with_weights,
)
from tests.operator.harness.harness import Harness
from tests.operator.harness.search import Search, in_order

NAMESPACES = 1
LOG = "".join(f"line {number}\n" for number in range(30)) + "the last words\n"
ELSEWHERE = "elsewhere/searches/x-12345678/base/" + "a" * 64 + ".safetensors"


@dataclass(frozen=True)
class TrialEnd:
    """One way in which trial 0 may go.

    Attributes:
        pods: what its pods do, in turn; later ones do their work.
        outcome: of the trial.
        says: parts of its message, in order; also in `kubectl describe`.
        attempts: how many pods it may have had in the end.
        log: the end of the pod's log is kept in the store.
    """

    pods: Callable[[PretendedTrainer], tuple[Script, ...]]
    outcome: Outcome = Outcome.INFRASTRUCTURE
    says: tuple[str, ...] = ()
    attempts: tuple[int, ...] = (1,)
    log: bool = False
    spec: dict[str, Any] = field(default_factory=dict)


def _found(code: int, outcome: Outcome, message: str) -> TrialEnd:
    return TrialEnd(
        pods=lambda trainer: (exits(code, work=reports(trainer, outcome, message)),),
        outcome=outcome,
        says=(message,),
    )


def _published(change: Callable[[Result], Result], says: str) -> TrialEnd:
    return TrialEnd(
        lambda trainer: (succeeds(work=publishes(trainer, change)),), says=("weights", says)
    )


ENDINGS = {
    "invalid": _found(0, Outcome.INVALID, "no detector can be"),
    "diverged": _found(0, Outcome.DIVERGED, "the loss left all bounds"),
    "too-large": _found(0, Outcome.OUT_OF_MEMORY, "the GPU has 80 GiB"),
    "invalid-of-old": _found(42, Outcome.INVALID, "no detector can be"),
    "too-large-of-old": _found(43, Outcome.OUT_OF_MEMORY, "the GPU has 80 GiB"),
    "exit-1": TrialEnd(
        lambda _: (exits(1, log="first\n"), exits(1, log=LOG)),
        says=("gave up after 2 attempts", "ended with exit 1", "line 29", "the last words"),
        attempts=(2,),
        log=True,
        spec={"limits": {"retries": 1}},
    ),
    "exit-2": TrialEnd(
        lambda _: (exits(2, log=LOG),),
        says=("use a trainer image of the operator's version", "the last words"),
        log=True,
        spec={"limits": {"retries": 1}},
    ),
    "invalid-mute": TrialEnd(lambda _: (exits(42),), says=("ended with exit 42",)),
    "oom-killed": TrialEnd(
        lambda _: (oom_killed(log=LOG),),
        says=("OOMKilled", "raise spec.jobs.resources.memory", "the last words"),
        log=True,
    ),
    "evicted": TrialEnd(
        lambda _: (outgrows_its_volume(),),
        says=("was evicted by its node", "exceeds the limit", "spec.jobs.cacheSize"),
    ),
    "late": TrialEnd(
        lambda _: (runs_for_ever(),),
        says=("active longer than its deadline of 15 s", "spec.deadlines"),
        spec={"deadlines": {"trial": 15}},
    ),
    "mute": TrialEnd(
        lambda _: (succeeds(),), says=("complete, but wrote no result", "may write to the store")
    ),
    "wrong-digest": _published(with_weights(sha256="b" * 64), "which is not the one in the name"),
    "wrong-size": _published(with_weights(size=7), "of 7 bytes; the store has 2048"),
    "foreign": _published(with_weights(key=ELSEWHERE), "which is not in the job's own folder"),
    "unpublished": _published(unpublished, "which is not in the store"),
    "resumed-for-ever": TrialEnd(
        lambda trainer: (exits(75, work=trainer.begin), leaves_a_checkpoint(trainer)),
        says=("asked to be resumed more often than spec.limits.resumptions allows",),
        attempts=(1, 2),  # it depends on whether the first end is seen before the second pod
        spec={"limits": {"retries": 0, "resumptions": 0}},
    ),
}
"""Trial 0 ends with an outcome of its own, the others well."""


SURVIVED = {
    "retried": ((exits(1),), {"limits": {"retries": 1}}),
    "resumed": ((exits(75),), {}),
    "preempted": ((preempted(),), {}),
    "pressed-out": ((evicted(),), {}),
    "node-lost": ((lost_with_its_node(),), {}),
}
"""The first pod of trial 0 goes, the second does its work: nothing is counted."""


@pytest.fixture(scope="module")
def searches(harness: Harness) -> dict[str, Search]:
    """All of them, running at the same time; the pool is trained once for all."""
    namespace = harness.namespace()
    harness.begin("first", namespace=namespace, trials=1).until_phase("Succeeded")
    found = {}
    for name, ending in ENDINGS.items():
        harness.on(f"{name}-t0000", *ending.pods(harness.trainer))
        found[name] = harness.begin(name, ending.spec, namespace=namespace)
    killed = exits(137, work=harness.trainer.begin, log=LOG)
    harness.on("killed-first-t0000", killed)
    found["killed-first"] = harness.begin(
        "killed-first", {"limits": {"retries": 1}}, namespace=namespace
    )
    for name, (pods, spec) in SURVIVED.items():
        harness.on(f"{name}-t0000", *pods)
        found[name] = harness.begin(name, spec, namespace=namespace)
    return found


@pytest.mark.parametrize("name", SURVIVED)
def test_trial_whose_first_pod_is_lost_succeeds_and_counts_no_failure(
    searches: dict[str, Search], name: str
) -> None:
    search = searches[name].until_phase("Succeeded")
    counted = search.trials
    assert (counted["succeeded"], counted["finished"], counted["infrastructure"]) == (2, 2, 0)
    assert len(search.pods_of("-t0000")) == 2
    assert search.status["failures"] == []
    assert not search.events("TrialFailed")
    assert search.has_condition("Degraded", "False", "NothingWrong")


@pytest.mark.parametrize("name", ENDINGS)
def test_failed_trial_reports_its_cause_in_status_event_and_result(
    searches: dict[str, Search], name: str
) -> None:
    ending, search = ENDINGS[name], searches[name].until_phase("Succeeded")
    (failure,) = search.status["failures"]
    assert (failure["trial"], failure["outcome"]) == (0, ending.outcome)
    told = search.event("TrialFailed")
    assert told["type"] == "Warning"
    result = search.trial(0)
    assert result is not None
    for message in (failure["message"], told["message"], result.message):
        assert in_order(message, ending.says), message
    assert len(search.pods_of("-t0000")) in ending.attempts
    assert search.text("trials/0000/attempts/1/log.txt") == (LOG if ending.log else "")


@pytest.mark.parametrize("name", ENDINGS)
def test_failed_trial_is_replaced_only_after_an_infrastructure_failure(
    searches: dict[str, Search], name: str
) -> None:
    """Two trials were asked for: the lost one is made up for, the bad candidate is not."""
    ending, search = ENDINGS[name], searches[name].until_phase("Succeeded")
    counted, lost = search.trials, ending.outcome is Outcome.INFRASTRUCTURE
    assert counted["finished"] == 2
    assert counted["succeeded"] == (2 if lost else 1)
    assert counted["infrastructure"] == int(lost)
    assert (search.job("-t0002") is not None) == lost
    assert search.has_condition("Succeeded", "True", "Exported")


def test_log_of_a_killed_attempt_is_stored_although_its_retry_succeeded(
    harness: Harness, searches: dict[str, Search]
) -> None:
    search = searches["killed-first"].until_phase("Succeeded")
    search.until(lambda: search.text("trials/0000/attempts/1/log.txt"))
    assert search.text("trials/0000/attempts/1/log.txt") == LOG
    # The second wrote none itself here, and its pod did not fail.
    assert search.text("trials/0000/attempts/2/attempt.json")
    assert search.text("trials/0000/attempts/2/log.txt") == ""


@pytest.mark.parametrize("name", ["invalid", "diverged", "too-large"])
def test_job_of_an_unsuitable_candidate_completes(searches: dict[str, Search], name: str) -> None:
    """Alerts on failed Jobs are for outages."""
    search = searches[name].until_phase("Succeeded")
    job = search.job("-t0000")
    assert job is not None
    ends = {one["type"] for one in job["status"]["conditions"] if one["status"] == "True"}
    assert "Complete" in ends
    assert "Failed" not in ends


def test_kubectl_describe_shows_a_failed_trial(searches: dict[str, Search]) -> None:
    said = searches["oom-killed"].until_phase("Succeeded").describe()
    assert in_order(said, ("Events:", "Warning", "TrialFailed", "trial 0: infrastructure"))


def test_jobs_expire_an_hour_after_their_results_are_recorded(searches: dict[str, Search]) -> None:
    search = searches["oom-killed"].until_phase("Succeeded")
    # The export's Job ends after its result was seen.
    search.until_settled()
    assert {job["spec"]["ttlSecondsAfterFinished"] for job in search.jobs().values()} == {3600}
