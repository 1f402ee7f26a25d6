"""What a user reads of a whole search in `kubectl describe`, from its beginning to its end."""

from typing import Any

from detnas.plan.stages import DueJob, Phase, Verb
from detnas.reasons import Reason, ReasonCode
from detnas_operator.status.events import events
from detnas_operator.status.pass_result import PassResult
from detnas_operator.status.patch import is_worth_a_patch
from detnas_operator.status.resource_status import resource_status
from tests.operator.status.found import (
    AWAY,
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
    detector,
    failed_trial,
    found,
    job,
    says,
    searched,
    trials,
    waiting,
)

PREPARE, PHASE, TRIAL = DueJob(Verb.PREPARE), DueJob(Verb.POOL, 0), DueJob(Verb.EVALUATE, 0)
STUDENT = detector(1.3, 0.42, 90_000_000_000)
UNLUCKY = (failed_trial(1, "OutOfMemory", "31 GiB asked for"),)
IMAGE = waiting(ReasonCode.IMAGE_PULL, "image not found: check spec.jobs.image")


def at(phase: Phase = Phase.SEARCHING, finished: int = 0, **told: Any) -> PassResult:
    counted = {} if phase in (Phase.PREPARING, Phase.TRAINING) else {"finished": finished}
    known = {key: told.pop(key) for key in tuple(told) if key in ("best", "best_trial", "failures")}
    exported = {key: told.pop(key) for key in tuple(told) if key.startswith("exported")}
    active = told.pop("active", ())
    return found(searched(phase, active=active, **counted, **known, **exported), **told)


HALFWAY: dict[str, Any] = {"best": BEST, "best_trial": 0, "failures": UNLUCKY}
STORY: list[tuple[PassResult, list[str]]] = [
    (
        found(
            not_accepted=Reason(
                ReasonCode.CREDENTIALS_MISSING, "no credentials for namespace team-a"
            )
        ),
        ["CredentialsMissing: no credentials for namespace team-a"],
    ),
    (
        at(Phase.PREPARING),
        [f"Accepted: the search is stored in {FOLDER}", "Preparing: checking the data set"],
    ),
    (at(Phase.PREPARING, jobs={PREPARE: job(PREPARE, STARTING)}), []),
    (
        at(Phase.PREPARING, jobs={PREPARE: job(PREPARE, IMAGE)}),
        ["ImagePull: job r101-prepare waits: image not found: check spec.jobs.image"],
    ),
    (
        at(Phase.PREPARING, jobs={PREPARE: job(PREPARE, RUNNING)}),
        ["Recovered: resolved: ImagePull"],
    ),
    (
        at(Phase.TRAINING, pool_phases=(0, 3), pool_holder="team-a/first"),
        [
            "TrainingTeachers: training the base and the teachers",
            (
                "WaitingForPool: team-a/first trains this pool; this search uses it once it is "
                "trained, and takes over if that one stops"
            ),
        ],
    ),
    (
        at(Phase.TRAINING, pool_phases=(2, 3), jobs={PHASE: job(PHASE, RUNNING)}),
        ["PoolTakenOver: training the pool itself: 2 of 3 phases are trained"],
    ),
    (
        at(),
        [
            "Searching: running trials",
            f"TeachersReady: the teacher pool is trained: {POOL}",
        ],
    ),
    (at(jobs=trials(STARTING, first=0)), []),
    (at(jobs=trials(RUNNING, first=0), active=(says(TRIAL, 10),)), []),
    (at(jobs=trials(RUNNING, first=0), active=(says(TRIAL, 90),)), []),
    (
        at(finished=1, best=BEST, best_trial=0, jobs=trials(RUNNING, first=1)),
        [
            (
                "NewBest: trial 0: H 1.2500 (base 1.0000), mAP 0.4100 (base 0.4000), FLOPs -41% "
                "at 800x600"
            )
        ],
    ),
    (
        at(finished=2, **HALFWAY, jobs=trials(UNSCHEDULABLE)),
        [
            "TrialFailed: trial 1: out of memory: 31 GiB asked for",
            f"Unschedulable: job r101-t0002 waits: {FULL}",
        ],
    ),
    (found(None, folder=FOLDER, problems=(AWAY,)), [f"StoreUnavailable: {AWAY.message}"]),
    (
        at(finished=2, **HALFWAY, jobs=trials(RUNNING)),
        ["Recovered: resolved: StoreUnavailable"],
    ),
    (
        at(finished=2, **HALFWAY, suspended=True),
        [
            (
                "Suspended: spec.suspend is true: no job is started, and those that ran are "
                "stopped with a checkpoint; set it to false, and each continues from there"
            )
        ],
    ),
    (at(finished=2, **HALFWAY, jobs=trials(RUNNING)), ["Resumed: continues: Searching"]),
    (at(finished=3, **HALFWAY, blocked=HALTED), [f"BudgetUsedUp: {HALTED.message}"]),
    (at(finished=3, **HALFWAY, jobs=trials(RUNNING)), ["Resumed: continues: Searching"]),
    (
        at(Phase.FINETUNING, 10, **HALFWAY | {"best": STUDENT, "best_trial": 7}),
        [
            "FineTuning: fine-tuning the best student",
            (
                "NewBest: trial 7: H 1.3000 (base 1.0000), mAP 0.4200 (base 0.4000), FLOPs -55% "
                "at 800x600"
            ),
        ],
    ),
    (
        at(Phase.EXPORTING, 10, **HALFWAY | {"best": STUDENT, "best_trial": 7}),
        ["Exporting: exporting the student"],
    ),
    (
        at(
            Phase.SUCCEEDED,
            10,
            **HALFWAY | {"best": STUDENT, "best_trial": 7},
            exported=STUDENT,
            exported_trial=7,
            exported_to=f"{FOLDER}/students/best",
        ),
        [
            (
                "Succeeded: the student of trial 7 has H 1.3000 (base 1.0000), mAP 0.4200 (base "
                f"0.4000), FLOPs -55%; it is stored in {FOLDER}/students/best"
            )
        ],
    ),
]


def test_a_user_reads_the_story_of_a_search_and_nothing_twice():
    status: dict = {}
    for findings, lines in STORY:
        after = resource_status(findings, status, NOW)
        assert [f"{one.reason}: {one.message}" for one in events(status, after)] == lines
        # Every event is in the status as well: what is told is written at once.
        assert not lines or is_worth_a_patch(status, after, 0.0, 60.0)
        repeated = resource_status(findings, after, LATER)
        assert repeated == after
        assert events(after, repeated) == ()
        status = after

    assert status["phase"] == "Succeeded"
    assert condition(status, "Succeeded")["status"] == "True"
    assert condition(status, "Degraded")["status"] == "False"


def test_the_story_is_written_in_few_patches():
    status: dict = {}
    patches = 0
    for findings, _ in STORY:
        after = resource_status(findings, status, NOW)
        patches += is_worth_a_patch(status, after, 0.0, 60.0)
        status = after

    only_progress = 2  # a job that starts to run, and one that trains on
    assert patches == len(STORY) - only_progress
