"""The search's Jobs as a pass observes them: of each, what decisions depend on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from detnas.plan.deadlines import default_deadline, overrun
from detnas.plan.stages import JobId, trial_verb
from detnas.reasons import Reason, ReasonCode
from detnas_operator.cluster.labels import TTL
from detnas_operator.cluster.objects import JobView
from detnas_operator.job_state.derive import job_state
from detnas_operator.job_state.ended_pods import own_pods
from detnas_operator.job_state.pods import job_is_kept_alive, pods_to_end
from detnas_operator.job_state.state import Failed, FailureKind
from detnas_operator.reconcile.memory import SearchMemory
from detnas_operator.search_jobs.jobs import SearchJobs, job_id_of

LINGER_SECONDS = 120.0
"""A Job may run after its result was written."""


@dataclass(frozen=True, slots=True)
class ObservedJob:
    """A Job of the search, as last observed in the cluster.

    Attributes:
        job_id: which job it runs.
        ended: it is Complete or Failed.
        has_result: its result is in the store.
        exhausted: it was resumed more often than it may be.
        overdue: it has held its node for longer than its default deadline.
        data_changed: it ended because its data is not what the search was prepared with; that is
            no result, and the Job stays until the user resumes the search.
        parked: it runs a final stage of a search that runs more trials: it is kept until it is
            known whether that stage is needed again, and whether it has a result is not known.
        lingers: it runs although its result was written long ago, or its trainer has ended.
        terminating: it is being deleted.
        has_ttl: it has a time to live after its end.
        trainer_done: its trainer ended with exit 0, and a foreign container keeps its pod alive.
        ends_pods: it has pods whose trainer has failed and that a foreign container keeps alive.
        postponed: the time to live that something else gave it was removed, or could not be.
    """

    job_id: JobId
    ended: bool = False
    has_result: bool = False
    exhausted: bool = False
    overdue: bool = False
    data_changed: bool = False
    parked: bool = False
    lingers: bool = False
    terminating: bool = False
    has_ttl: bool = False
    trainer_done: bool = False
    ends_pods: bool = False
    postponed: bool = False


def trial_may_have_ended(jobs: Mapping[str, JobView], memory: SearchMemory, number: int) -> bool:
    """Whether a Job of trials no longer runs, or has written its result, as last observed."""
    job_id = JobId(trial_verb(memory.session.spec), number)
    job = jobs.get(memory.job_name(job_id))
    if job is None or job.has_ended or job.is_being_deleted:
        return True
    if job_is_kept_alive(job, memory.running.pods.pods_of(job)):
        return True
    return memory.running.has_published(memory.session.job_folder(job_id))


def observe_jobs(
    jobs: Mapping[str, JobView], memory: SearchMemory, now: float
) -> dict[str, ObservedJob]:
    """Return the Jobs by name; `now` is the time on the monotonic clock, in seconds."""
    observed, state = {}, memory.session.state
    for name, job in jobs.items():
        job_id = job_id_of(job)
        if job.has_ended and state.is_finished(job_id):  # as most Jobs of a long search
            memory.running.result_since.pop(name, None)
            observed[name] = ObservedJob(
                job_id=job_id,
                ended=True,
                has_result=True,
                terminating=job.is_being_deleted,
                has_ttl=job.ttl_seconds is not None,
            )
        else:
            observed[name] = _observe(name, job, memory, now)
    return observed


def _observe(name: str, job: JobView, memory: SearchMemory, now: float) -> ObservedJob:
    job_id = job_id_of(job)
    folder = memory.session.job_folder(job_id)
    if not folder:
        return ObservedJob(
            job_id=job_id,
            ended=job.has_ended,
            parked=True,
            terminating=job.is_being_deleted,
            has_ttl=job.ttl_seconds is not None,
            postponed=TTL in job.annotations,
        )
    # A Job whose name is no longer that of its job served an earlier best trial.
    has_result = memory.session.state.is_finished(job_id) or memory.job_name(job_id) != name
    ended = job.has_ended
    if has_result and not ended:
        since = memory.running.result_since.setdefault(name, now)
    else:
        memory.running.result_since.pop(name, None)
        since = None
    pods = memory.running.pods.pods_of(job)
    is_kept_alive = job_is_kept_alive(job, pods)
    return ObservedJob(
        job_id=job_id,
        ended=ended,
        has_result=has_result,
        exhausted=_attempts(job, folder, memory) > _allowed_attempts(memory),
        overdue=not ended and overdue_message(job, job_id, memory) is not None,
        lingers=since is not None and (now - since > LINGER_SECONDS or is_kept_alive),
        trainer_done=not ended and job_is_kept_alive(job, pods, trainer_succeeded=True),
        ends_pods=not ended and bool(pods_to_end(job, pods)),
        data_changed=ended and _read_changed_data(job),
        terminating=job.is_being_deleted,
        has_ttl=job.ttl_seconds is not None,
        postponed=TTL in job.annotations,
    )


def _read_changed_data(job: JobView) -> bool:
    state = job_state(job, (), datetime.now(UTC))
    return isinstance(state, Failed) and state.kind is FailureKind.DATA_CHANGED


def overdue_message(job: JobView, job_id: JobId, memory: SearchMemory) -> str | None:
    """Return a message if a Job has held its node for longer than its default deadline.

    Waiting for a node does not count: a cluster may be full for days.
    """
    limit = default_deadline(
        job_id.verb, memory.session.spec, memory.session.state.prepare, memory.session.state.base
    )
    if limit is None or memory.gpu_time.running_seconds(job, datetime.now(UTC)) <= limit:
        return None
    return f"{job.title} {overrun(job_id.verb, limit)}"


def _attempts(job: JobView, folder: str, memory: SearchMemory) -> int:
    """Return how many there were; a launcher may end before it has written to the store."""
    return max(memory.running.attempts_at(folder), memory.gpu_time.resumptions(job) + 1)


def _allowed_attempts(memory: SearchMemory) -> int:
    limits = memory.session.spec.limits
    return limits.retries + limits.resumptions + 1


def changed_data(jobs: SearchJobs, observed: Mapping[str, ObservedJob]) -> Reason | None:
    """Return why the search is blocked if a Job ended because its data is not what was prepared.

    No such Job gets a result. It stays in the cluster as the record of the change, also across
    restarts, until the user resumes the search, which recreates it.
    """
    names = [name for name, job in observed.items() if job.data_changed and not job.has_result]
    if not names:
        return None
    name = min(names)  # the same in every pass
    job = jobs.all()[name]
    state = job_state(job, own_pods(job, jobs.pods_of(name)), datetime.now(UTC))
    message = state.message if isinstance(state, Failed) else f"{job.title} read other data"
    remedy = "once the old data is back, set spec.suspend to true and then to false to continue"
    return Reason(ReasonCode.DATA_CHANGED, f"{message}; {remedy}")
