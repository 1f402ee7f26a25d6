"""What a pass over a search found: everything its status says follows from this."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from detnas.lifecycle.status import SearchStatus
from detnas.plan.stages import DueJob
from detnas.reasons import Reason
from detnas_operator.job_state.state import JobState


@dataclass(frozen=True, slots=True)
class ActiveJob:
    """A job that is due and has a Job in the cluster.

    Attributes:
        name: of the Job.
        state: how it is.
        started: when its first pod began; none before that.
        waiting_since: when it was created, or last stopped running; none if that is long ago.
        suspended: it does not start before its Job's own object changes.
    """

    name: str
    state: JobState
    started: datetime | None = None
    waiting_since: datetime | None = None
    suspended: bool = False


@dataclass(frozen=True)
class PassResult:
    """What a pass over one search found.

    Attributes:
        generation: of the resource, as it was read.
        refused: why the search is not accepted; none if it is.
        folder: URI of the search's folder; empty before it is accepted.
        image: of the trainer, pinned when the search was accepted.
        search: where the search stands, as the store says; none before it is accepted.
        suspended: the user wants nothing to run.
        halted: why the operator itself starts nothing more: budget, failures in a row.
        jobs: Jobs of what is due, by what they are for.
        pool: URI of the teacher pool's folder; empty until the data is known.
        pool_phases: how many phases are trained, and how many there are.
        pool_holder: who else trains the pool we wait for; empty when nobody.
        troubles: what keeps the pass from going on: the store is away, a Job is refused.
        warnings: what the manifest asks for and should not; it keeps the search from nothing.
        gpu_seconds: GPU time used so far, over all jobs of the search.
        forgiven: number of trials whose failures no longer count towards halting.
        lost_gpu_seconds: those among them whose records are lost.
        accepted_loss: token of the loss of data that was accepted last.
        stopping: pods of a suspended search have not ended yet.
        accepts_loss: it is accepted by this pass: what the status said before counts no more.
    """

    generation: int
    refused: Reason | None = None
    folder: str = ""
    image: str = ""
    search: SearchStatus | None = None
    suspended: bool = False
    halted: Reason | None = None
    jobs: Mapping[DueJob, ActiveJob] = field(default_factory=dict)
    pool: str = ""
    pool_phases: tuple[int, int] = (0, 0)
    pool_holder: str = ""
    troubles: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    gpu_seconds: float = 0.0
    forgiven: int = 0
    lost_gpu_seconds: float = 0.0
    accepted_loss: str = ""
    accepts_loss: bool = False
    stopping: bool = False
