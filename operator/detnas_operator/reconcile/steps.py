"""What a pass does: a pure function of the plan, the observed Jobs, and what blocks the search."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from detnas.plan.stages import JobId, Plan
from detnas_operator.reconcile.block import Block
from detnas_operator.reconcile.observed_jobs import ObservedJob


@dataclass(frozen=True, slots=True)
class Steps:
    """What to do, in this order; names are of Jobs.

    Attributes:
        fail: ended without a result, or would never write one: a failure is recorded, and the pass
            decides again.
        drop: being deleted by others, with a result in the store.
        postpone: with a time to live that something else set, to be removed until they may expire.
        end_pods: with pods that the Job controller can only count once they are deleted.
        delete: no longer needed; one with a result is first left to end by itself.
        start: due, and without a Job.
        propose: new trials to decide and start.
        expire: ended with a result in the store: the Job and its log may go after a while.
        name_taken: due, but an old Job of the name is still being deleted.
    """

    fail: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    postpone: tuple[str, ...] = ()
    end_pods: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    start: tuple[JobId, ...] = ()
    propose: int = 0
    expire: tuple[str, ...] = ()
    name_taken: tuple[str, ...] = ()

    @property
    def build_on_the_store(self) -> bool:
        """Whether something is recorded that follows from what the store has."""
        return bool(self.fail or self.start or self.propose)


def decide_steps(
    planned: Plan,
    jobs: Mapping[str, ObservedJob],
    name_of: Callable[[JobId], str],
    block: Block,
) -> Steps:
    """Decide what a pass does.

    Args:
        planned: what is due, by the store.
        jobs: the search's Jobs by name.
        name_of: the one name a job's Job can have.
        block: whether the search may start jobs.
    """
    live = {name: job for name, job in jobs.items() if not job.terminating}
    over = planned.phase.is_over
    starts, ends = not (over or block.starts_nothing), over or block.ends_running
    due = {name_of(job_id): job_id for job_id in planned.due} if starts else {}

    def is_unwanted(job: ObservedJob) -> bool:
        return not job.ended and (job.lingers if job.has_result else ends)

    return Steps(
        fail=_names(jobs, _needs_result),
        drop=_names(jobs, lambda job: job.terminating and job.ended and job.has_result),
        postpone=_names(live, lambda job: job.has_ttl and not (job.ended or job.postponed)),
        end_pods=_names(
            live, lambda job: job.ends_pods and not (job.has_result or is_unwanted(job))
        ),
        delete=_names(live, is_unwanted),
        start=tuple(job_id for name, job_id in due.items() if name not in jobs),
        propose=planned.proposals if starts else 0,
        expire=_names(live, lambda job: job.ended and job.has_result and not job.has_ttl),
        name_taken=tuple(name for name in due if name in jobs and jobs[name].terminating),
    )


def _needs_result(job: ObservedJob) -> bool:
    """Whether nothing but the operator will write its result.

    A Job that failed has failed, also if something deletes it then: its time to live, or a user.
    """
    runs_in_vain = (job.exhausted or job.overdue or job.trainer_done) and not job.terminating
    excused = job.data_changed or job.has_result or job.parked
    return (job.ended or runs_in_vain) and not excused


def _names(
    jobs: Mapping[str, ObservedJob], chosen: Callable[[ObservedJob], bool]
) -> tuple[str, ...]:
    return tuple(name for name, job in jobs.items() if chosen(job))


@dataclass(frozen=True, slots=True)
class Decision:
    """What a pass decided, for those who apply and report it.

    Attributes:
        planned: what is due, by the store.
        block: whether the search may start jobs.
        steps: what to do.
    """

    planned: Plan
    block: Block
    steps: Steps = Steps()
