"""What a user reads of a whole search in `kubectl describe`, from its beginning to its end."""

from typing import Any

from detnas.plan.stages import JobId, Phase
from detnas.reasons import Reason, ReasonCode
from detnas.records.verbs import Verb
from detnas_operator.job_state.state import Waiting
from detnas_operator.status.events import events
from detnas_operator.status.pass_result import PassResult
from detnas_operator.status.patch import is_worth_a_patch
from detnas_operator.status.resource_status import resource_status
from tests.operator.status.pass_results import (
    BEST,
    FOLDER,
    LATER,
    NO_GPU,
    NOW,
    OVER_BUDGET,
    POOL,
    RUNNING,
    STARTING,
    STORE_AWAY,
    UNREAD,
    UNSCHEDULABLE,
    condition,
    detector,
    failed_trial,
    job,
    pass_result,
    search_state,
    trials,
    with_progress,
)

PREPARE, PHASE, TRIAL = JobId(Verb.PREPARE), JobId(Verb.POOL, 0), JobId(Verb.EVALUATE, 0)
STUDENT = detector(1.3, 0.42, 90_000_000_000)
NO_CREDENTIALS = Reason(ReasonCode.CREDENTIALS_MISSING, "no credentials for namespace team-a")
NO_IMAGE = Waiting(ReasonCode.IMAGE_PULL, "image not found: check spec.jobs.image")
EXPORTED_TO = f"{FOLDER}/students/best"
SUSPENDED = (
    "Suspended: spec.suspend is true: no job is started, and those that ran are stopped with a "
    "checkpoint; set it to false, and each continues from there"
)
OTHER_TRAINS = (
    "WaitingForPool: team-a/first trains this pool; this search uses it once it is trained, and "
    "takes over if that one stops"
)
FIRST_GAIN = "H 1.2500 (base 1.0000), mAP 0.4100 (base 0.4000), FLOPs -41%"
SEEN = "(H and mAP on the validation images it was selected on)"
GAIN = "H 1.3000 (base 1.0000), mAP 0.4200 (base 0.4000), FLOPs -55%"


def preparing(**fields: Any) -> PassResult:
    return pass_result(Phase.PREPARING, **fields)


def running(finished: int, search: dict[str, Any], **fields: Any) -> PassResult:
    """A search of whose next trial the Job runs."""
    jobs = {} if fields else trials(RUNNING, first=finished)
    return pass_result(search_state(finished=finished, **search), **{"jobs": jobs, **fields})


def ending(phase: Phase, **search: Any) -> PassResult:
    best = {**HALFWAY, "best": STUDENT, "best_trial": 7}
    return pass_result(search_state(phase, finished=10, **best, **search))


FIRST: dict[str, Any] = {"best": BEST, "best_trial": 0}
UNLUCKY = (failed_trial(1, "OutOfMemory", "31 GiB asked for"),)
HALFWAY: dict[str, Any] = {**FIRST, "failures": UNLUCKY}
STORY: list[tuple[PassResult, list[str]]] = [
    (pass_result(not_accepted=NO_CREDENTIALS), [f"CredentialsMissing: {NO_CREDENTIALS.message}"]),
    (
        preparing(),
        [f"Accepted: the search is stored in {FOLDER}", "Preparing: checking the data set"],
    ),
    (preparing(jobs={PREPARE: job(PREPARE, STARTING)}), []),
    (
        preparing(jobs={PREPARE: job(PREPARE, NO_IMAGE)}),
        [f"ImagePull: Job r101-prepare waits: {NO_IMAGE.message}"],
    ),
    (preparing(jobs={PREPARE: job(PREPARE, RUNNING)}), ["Recovered: resolved: ImagePull"]),
    (
        pass_result(Phase.TRAINING, pool_phases=(0, 3), pool_holder="team-a/first"),
        ["TrainingTeachers: training the base and the teachers", OTHER_TRAINS],
    ),
    (
        pass_result(Phase.TRAINING, pool_phases=(2, 3), jobs={PHASE: job(PHASE, RUNNING)}),
        ["PoolTakenOver: training the pool itself: 2 of 3 phases are trained"],
    ),
    (
        running(0, {}, jobs={}),
        ["Searching: running trials", f"TeachersReady: the teacher pool is trained: {POOL}"],
    ),
    (running(0, {}, jobs=trials(STARTING, first=0)), []),
    (running(0, {"active": (with_progress(TRIAL, 10),)}), []),
    (running(0, {"active": (with_progress(TRIAL, 90),)}), []),
    (running(1, FIRST), [f"NewBest: trial 0: {FIRST_GAIN} at 800x600"]),
    (
        running(2, HALFWAY, jobs=trials(UNSCHEDULABLE)),
        [
            "TrialFailed: trial 1: out of memory: 31 GiB asked for",
            f"Unschedulable: Job r101-t0002 waits: {NO_GPU}",
        ],
    ),
    (UNREAD, [f"StoreUnavailable: {STORE_AWAY.message}"]),
    (running(2, HALFWAY), ["Recovered: resolved: StoreUnavailable"]),
    (running(2, HALFWAY, suspended=True), [SUSPENDED]),
    (running(2, HALFWAY), ["Resumed: continues: Searching"]),
    (running(3, HALFWAY, blocked=OVER_BUDGET), [f"BudgetUsedUp: {OVER_BUDGET.message}"]),
    (running(3, HALFWAY), ["Resumed: continues: Searching"]),
    (
        ending(Phase.FINETUNING),
        [
            "FineTuning: fine-tuning the best student",
            f"NewBest: trial 7: {GAIN} at 800x600",
        ],
    ),
    (ending(Phase.EXPORTING), ["Exporting: exporting the student"]),
    (
        ending(Phase.SUCCEEDED, exported=STUDENT, exported_trial=7, exported_to=EXPORTED_TO),
        [f"Succeeded: the student of trial 7 has {GAIN} {SEEN}; it is stored in {EXPORTED_TO}"],
    ),
]


def test_events_tell_the_story_of_a_search_once_in_few_patches() -> None:
    status: dict[str, Any] = {}
    patches = 0
    for result, lines in STORY:
        after = resource_status(result, status, NOW)
        assert [f"{one.code}: {one.message}" for one in events(status, after)] == lines
        # Every event is in the status as well, which is then written at once.
        is_written = is_worth_a_patch(status, after, 0.0, 60.0)
        assert is_written or not lines
        patches += is_written
        repeated = resource_status(result, after, LATER)
        assert repeated == after
        assert events(after, repeated) == ()
        status = after

    only_progress = 2  # a job that starts to run, and one that continues to train
    assert patches == len(STORY) - only_progress
    assert status["phase"] == "Succeeded"
    assert condition(status, "Succeeded")["status"] == "True"
    assert condition(status, "Degraded")["status"] == "False"
