"""What a pass sees: where the search stands in the store, and its Jobs in the cluster."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from detnas.lifecycle.reading.state import SearchState
from detnas.lifecycle.status import job_folder
from detnas.plan.deadlines import default_deadline, overrun
from detnas.plan.requests import SearchRequests
from detnas.plan.stages import DueJob, Verb
from detnas.records import keys
from detnas_operator.job.labels import TTL
from detnas_operator.job.names import job_name
from detnas_operator.job_state.ended_pods import has_done_its_work, pods_to_end
from detnas_operator.reconcile.changed_data import saw_other_data
from detnas_operator.reconcile.memory import SearchMemory
from detnas_operator.reconcile.search_jobs import has_ended, purpose
from detnas_operator.reconcile.steps import ObservedJob

Object = dict[str, Any]
LINGER_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Naming:
    """Names the Jobs of a search; what comes after the trials is named by the trial it is for."""

    requests: SearchRequests
    state: SearchState

    def folder(self, due: DueJob) -> str:
        """Key of a due job's folder."""
        return job_folder(self.requests, self.state, due)

    def name(self, due: DueJob) -> str:
        """Name of its Job."""
        return job_name(self.requests.manifest.metadata.name, due, self.folder(due))


def trial_may_have_ended(jobs: Mapping[str, Object], memory: SearchMemory, trial: int) -> bool:
    """Whether a trial's Job no longer runs, or runs on after its result, as far as was seen."""
    manifest = memory.requests.manifest
    job = jobs.get(job_name(manifest.metadata.name, DueJob(Verb.EVALUATE, trial), ""))
    if job is None or has_ended(job) or "deletionTimestamp" in job["metadata"]:
        return True
    if has_done_its_work(job, memory.seen_pods.pods_of(job), well=False):
        return True
    return memory.has_published(keys.trial_folder(memory.requests.search, trial))


def seen_jobs(
    jobs: Mapping[str, Object], naming: Naming, memory: SearchMemory, now: float
) -> dict[str, ObservedJob]:
    """Say of each Job what matters for deciding.

    Args:
        jobs: the search's Jobs by name.
        naming: names what is due.
        memory: remembers since when a Job goes on after its result.
        now: seconds, rising.
    """
    return {name: _seen(name, job, naming, memory, now) for name, job in jobs.items()}


def _seen(name: str, job: Object, naming: Naming, memory: SearchMemory, now: float) -> ObservedJob:
    due = purpose(job)
    if not naming.folder(due):
        # What comes after the trials, while more trials are asked for: it may be wanted again,
        # so it may run on, but for a search that is stopped, and no time to live is set.
        return ObservedJob(
            due=due,
            ended=has_ended(job),
            has_result=has_ended(job),
            expires=True,
            postponed=not _has_time_to_live(job) or _is_postponed(job),
        )
    # A Job whose name is no longer that of its purpose served an earlier best trial.
    has_result = is_finished(naming.state, due) or naming.name(due) != name
    ended = has_ended(job)
    if has_result and not ended:
        since = memory.done_since.setdefault(name, now)
    else:
        memory.done_since.pop(name, None)
        since = None
    pods = memory.seen_pods.pods_of(job)
    is_kept_alive = has_done_its_work(job, pods, well=False)
    return ObservedJob(
        due=due,
        ended=ended,
        has_result=has_result,
        exhausted=_attempts(job, naming.folder(due), memory) > _allowed(memory),
        overdue=not ended and overran(job, due, naming.state, memory) is not None,
        lingers=since is not None and (now - since > LINGER_SECONDS or is_kept_alive),
        mute=not ended and has_done_its_work(job, pods, well=True),
        ends_pods=not ended and bool(pods_to_end(job, pods)),
        data_changed=ended and saw_other_data(job),
        terminating="deletionTimestamp" in job["metadata"],
        expires=_has_time_to_live(job),
        postponed=_is_postponed(job),
    )


def _has_time_to_live(job: Object) -> bool:
    return job["spec"].get("ttlSecondsAfterFinished") is not None


def _is_postponed(job: Object) -> bool:
    return TTL in (job["metadata"].get("annotations") or {})


def overran(job: Object, due: DueJob, state: SearchState, memory: SearchMemory) -> str | None:
    """Say for how long a Job has held its node, where that is longer than its default deadline.

    What it waits for a node is not counted: a cluster may be full for days.
    """
    limit = default_deadline(due.verb, memory.spec, state.prepare, state.base)
    if limit is None or memory.running.seconds(job, datetime.now(UTC)) <= limit:
        return None
    return f"Job {job['metadata']['name']} {overrun(due.verb, limit)}"


def _attempts(job: Object, folder: str, memory: SearchMemory) -> int:
    """How many there were: a launcher may give up before the store hears of it."""
    return max(memory.attempts_at(folder), memory.running.resumptions(job) + 1)


def _allowed(memory: SearchMemory) -> int:
    limits = memory.spec.limits
    return limits.retries + limits.resumptions + 1


def is_finished(state: SearchState, due: DueJob) -> bool:
    """Whether a job's result is known."""
    ending = state.ending
    return {
        Verb.PREPARE: state.prepare is not None,
        Verb.BASE: state.base is not None,
        Verb.POOL: len(state.pool) > due.number,
        Verb.EVALUATE: state.history.summary.knows(due.number),
        Verb.FINETUNE: ending is not None and ending.finetune is not None,
        Verb.EXPORT: ending is not None and ending.export is not None,
    }[due.verb]
