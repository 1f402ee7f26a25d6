"""Builds what a pass found, for tests: a search at any point of its life."""

from datetime import UTC, datetime, timedelta
from typing import Any

from detnas.lifecycle.jobs import job_name
from detnas.lifecycle.status import DetectorStatus, JobProgress, SearchStatus, TrialStatus
from detnas.plan.stages import JobId, Phase
from detnas.reasons import Reason, ReasonCode
from detnas.records.progress import Progress
from detnas.records.settings import Resolution
from detnas.records.verbs import Verb
from detnas_operator.job_state.state import JobState, Running, Waiting
from detnas_operator.status.pass_result import ActiveJob, PassResult

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
FOLDER = "s3://lab/detnas/team-a/searches/r101-0a1b2c3d"
POOL = "s3://lab/detnas/team-a/pools/0123456789abcdef"
RESOLUTION = Resolution(width=800, height=600)
ENCODING = "[(64, 64)-(64, 64)], [(128, 128)], [(256, 256)], [(512, 512)]"
OVER_BUDGET = Reason(
    ReasonCode.BUDGET_USED_UP, "101.5 of 100 GPU hours are used; raise spec.limits.gpuHours"
)
STORE_AWAY = Reason(ReasonCode.STORE_UNAVAILABLE, "s3://lab does not answer; check the endpoint")
FORBIDDEN = Reason(ReasonCode.STORAGE_FORBIDDEN, "s3://other is not allowed")
WARNINGS = ("spec.dataset.val: 40 images are few", "spec.evaluation: 57 steps are few")


def detector(h: float, mean_ap: float, flops: int) -> DetectorStatus:
    return DetectorStatus(
        h=h,
        map=mean_ap,
        flops=flops,
        resolution=RESOLUTION,
        parameters=41_000_000,
        encoding=ENCODING,
    )


BASE = detector(1.0, 0.4, 200_000_000_000)
BEST = detector(1.25, 0.41, 118_000_000_000)


def search_state(phase: Phase = Phase.SEARCHING, **fields: Any) -> SearchStatus:
    """The state of a search by the store, two trials into a search of ten."""
    before_trials = phase in (Phase.PREPARING, Phase.TRAINING)
    counted = {"base": BASE, "finished": 2, "outcomes": {"Succeeded": 1, "OutOfMemory": 1}}
    usual = {"name": "r101", "folder": FOLDER, "phase": phase, "trials": 10}
    return SearchStatus(**usual | ({} if before_trials else counted) | fields)


SUCCEEDED = search_state(
    Phase.SUCCEEDED,
    finished=10,
    best=BEST,
    best_trial=7,
    best_job=7,
    exported=BEST,
    exported_trial=7,
    exported_to=f"{FOLDER}/students/best",
)
UNIMPROVED = SUCCEEDED.model_copy(
    update={
        "exported": BASE.model_copy(update={"is_base": True}),
        "exported_trial": None,
        "export_reason": "no student is better than the base, whose H is 1.0000: trial 7 is best",
        "improved": False,
        "likely_causes": ("only 10 trials finished; raise spec.search.trials",),
    }
)


def pass_result(search: SearchStatus | Phase | None = None, **fields: Any) -> PassResult:
    """What a pass without problems found, with the teachers trained once trials run."""
    if isinstance(search, Phase):
        search = search_state(search)
    phase = search.phase if search else None
    early = phase in (None, Phase.PREPARING)
    usual: dict[str, Any] = {
        "generation": 1,
        "search": search,
        "folder": search.folder if search else "",
        "image": "example.org/trainer@sha256:00",
        "pool": "" if early else POOL,
        "pool_phases": (0, 0) if early else (1, 3) if phase is Phase.TRAINING else (3, 3),
    }
    return PassResult(**usual | fields)


UNREAD = pass_result(folder=FOLDER, problems=(STORE_AWAY,))
"""Of a search whose store does not answer."""


def job(job_id: JobId, state: JobState, waiting_since: datetime | None = None) -> ActiveJob:
    name = f"r101-t{job_id.number:04d}" if job_id.verb is Verb.EVALUATE else f"r101-{job_id.verb}"
    return ActiveJob(name, state, NOW if isinstance(state, Running) else None, waiting_since)


def trials(*states: JobState, first: int = 2) -> dict[JobId, ActiveJob]:
    job_ids = (JobId(Verb.EVALUATE, number) for number in range(first, first + len(states)))
    return {job_id: job(job_id, state) for job_id, state in zip(job_ids, states, strict=True)}


RUNNING = Running(since=NOW)
STARTING = Waiting(ReasonCode.STARTING, "the container is being created")
NO_GPU = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
UNSCHEDULABLE = Waiting(ReasonCode.UNSCHEDULABLE, NO_GPU)


def failed_trial(number: int, outcome: str, message: str) -> TrialStatus:
    return TrialStatus(number=number, outcome=outcome, message=message)


def good_trial(number: int, of: DetectorStatus) -> TrialStatus:
    figures = {"h": of.h, "map": of.map, "flops": of.flops, "resolution": of.resolution}
    return TrialStatus(number=number, outcome="Succeeded", **figures)


def with_progress(job_id: JobId, done: int, **fields: Any) -> JobProgress:
    """A job as the store has it, with the progress that its attempt reported last."""
    progress = Progress(activity="training", done=done, total=100, epoch=1, epochs=3, updated=NOW)
    return JobProgress(name=job_name(job_id), progress=progress.model_copy(update=fields))


def condition(status: dict[str, Any] | list[dict[str, Any]], name: str) -> dict[str, Any]:
    conditions = status["conditions"] if isinstance(status, dict) else status
    return next(one for one in conditions if one["type"] == name)
