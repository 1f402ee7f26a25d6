"""What a pass should do: a pure function of the plan and the Jobs in the cluster."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from detnas.plan.stages import DueJob, Phase, Plan
from detnas_operator.reconcile.restraint import Block

OVER = (Phase.SUCCEEDED, Phase.FAILED)


@dataclass(frozen=True, slots=True)
class ObservedJob:
    """A Job of the search, as the cluster has it.

    Attributes:
        due: what it is for.
        ended: it is Complete or Failed.
        terminating: it is being deleted.
        expires: it has a time to live after its end.
        has_result: its result is in the store.
        exhausted: it asked to be resumed more often than it may.
        overdue: it has held its node for longer than any default lets it.
        data_changed: it ended because its data is not what the search was prepared with; that is
            no result, and the Job stays until the user resumes the search.
        lingers: it runs on though its result was written long ago, or though its trainer has ended.
        mute: its trainer has ended with exit 0, and a foreign container keeps its pod alive.
        ends_pods: it has pods whose trainer has failed, and which a foreign container keeps alive.
        postponed: the time to live that something else gave it was taken away, or could not be.
    """

    due: DueJob
    ended: bool = False
    has_result: bool = False
    exhausted: bool = False
    overdue: bool = False
    data_changed: bool = False
    lingers: bool = False
    terminating: bool = False
    expires: bool = False
    mute: bool = False
    ends_pods: bool = False
    postponed: bool = False


@dataclass(frozen=True, slots=True)
class Steps:
    """What to do, in this order; names are of Jobs.

    Attributes:
        settle: ended without a result, or never will: each gets one, and the pass looks again.
        delete: not wanted any more; one that has its result is about to end by itself.
        start: due and not there.
        propose: new trials to decide and start.
        expire: ended with a result in the store: the Job and its log may go after a while.
        forget: being deleted by others, with a result in the store.
        postpone: not to be deleted as soon as they end, as something else wants it.
        end_pods: with pods that the Job controller can only count once they are deleted.
        awaited: due, but an old Job of the name is still being deleted.
    """

    settle: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    start: tuple[DueJob, ...] = ()
    propose: int = 0
    expire: tuple[str, ...] = ()
    awaited: tuple[str, ...] = ()
    forget: tuple[str, ...] = ()
    postpone: tuple[str, ...] = ()
    end_pods: tuple[str, ...] = ()


def steps(
    decided: Plan,
    jobs: Mapping[str, ObservedJob],
    name_of: Callable[[DueJob], str],
    restraint: Block,
) -> Steps:
    """Decide what a pass does.

    Args:
        decided: what is due, by the store.
        jobs: the search's Jobs by name.
        name_of: the one name a job's Job can have.
        restraint: what keeps the search from starting more.
    """
    live = {name: job for name, job in jobs.items() if not job.terminating}
    over = decided.phase in OVER
    ends = over or restraint.ends_running

    def is_unwanted(job: ObservedJob) -> bool:
        return not job.ended and (job.lingers if job.has_result else ends)

    due = () if over or restraint.starts_nothing else decided.due
    return Steps(
        settle=_named(jobs, _needs_result),
        delete=_named(live, is_unwanted),
        start=tuple(job for job in due if name_of(job) not in jobs),
        propose=0 if over or restraint.starts_nothing else decided.proposals,
        expire=_named(live, lambda job: job.ended and job.has_result and not job.expires),
        awaited=tuple(name_of(job) for job in due if _is_terminating(jobs.get(name_of(job)))),
        forget=_named(jobs, lambda job: job.terminating and job.ended and job.has_result),
        postpone=_named(live, lambda job: job.expires and not (job.ended or job.postponed)),
        end_pods=_named(
            live, lambda job: job.ends_pods and not (job.has_result or is_unwanted(job))
        ),
    )


def _needs_result(job: ObservedJob) -> bool:
    """Whether nobody but us will write its result.

    One that failed failed, also where something deletes it for that: its time to live, or a user.
    """
    runs_in_vain = (job.exhausted or job.overdue or job.mute) and not job.terminating
    return (job.ended or runs_in_vain) and not (job.data_changed or job.has_result)


def _named(
    jobs: Mapping[str, ObservedJob], wanted: Callable[[ObservedJob], bool]
) -> tuple[str, ...]:
    return tuple(name for name, job in jobs.items() if wanted(job))


def _is_terminating(job: ObservedJob | None) -> bool:
    return job is not None and job.terminating
