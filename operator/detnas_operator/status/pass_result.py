"""What one pass over a search found: everything that its status reports follows from this."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from detnas.lifecycle.status import SearchStatus
from detnas.plan.stages import JobId, Phase
from detnas.reasons import Reason
from detnas_operator.job_state.state import JobState


@dataclass(frozen=True, slots=True)
class ActiveJob:
    """A job whose Job has not ended.

    Attributes:
        name: of the Job.
        state: of the Job and its pods.
        started: when its first pod started; None before that.
        waiting_since: when it was created, or last stopped running; None if that is long ago.
        suspended: it starts only after a change of the Job object itself.
        kind: Job or JobSet.
    """

    name: str
    state: JobState
    started: datetime | None = None
    waiting_since: datetime | None = None
    suspended: bool = False
    kind: str = "Job"


@dataclass(frozen=True)
class PassResult:
    """What one pass found.

    Attributes:
        generation: of the resource, as it was read.
        not_accepted: why the search may not run; None if it may.
        folder: URI of the search's folder; empty before it is accepted.
        image: of the trainer, pinned when the search was accepted.
        search: state of the search by the store; None if the store was not read.
        suspended: by the user.
        blocked: why the operator starts no more jobs: budget, failures in a row, changed data.
        jobs: its Jobs that have not ended.
        pool: URI of the teacher pool's folder; empty until the data is known, and without a pool.
        pool_phases: how many phases are trained, and how many there are.
        pool_holder: the search that trains the pool this one waits for; empty if none does.
        problems: what kept the pass from continuing, such as a store that does not answer.
        warnings: fields of the manifest to correct, in spite of which the search continues.
        gpu_seconds: GPU time used so far, over all jobs of the search.
        forgiven: trials below this number no longer count as failures in a row.
        lost_gpu_seconds: part of ``gpu_seconds`` whose records are lost.
        accepted_loss: token of the loss of data that was accepted last.
        accepts_loss: this pass accepted it: what the status reported before is no longer valid.
        stopping: pods of a suspended search have not ended yet.
    """

    generation: int
    not_accepted: Reason | None = None
    folder: str = ""
    image: str = ""
    search: SearchStatus | None = None
    suspended: bool = False
    blocked: Reason | None = None
    jobs: Mapping[JobId, ActiveJob] = field(default_factory=dict)
    pool: str = ""
    pool_phases: tuple[int, int] = (0, 0)
    pool_holder: str = ""
    problems: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    gpu_seconds: float = 0.0
    forgiven: int = 0
    lost_gpu_seconds: float = 0.0
    accepted_loss: str = ""
    accepts_loss: bool = False
    stopping: bool = False

    @property
    def teachers_are_ready(self) -> bool:
        """Whether every teacher of the search can teach."""
        if self.search is None:
            return False
        phase, (done, phases) = self.search.phase, self.pool_phases
        has_no_pool = phases == 0 and phase is Phase.TRAINING  # the external teacher is stored
        return phase.is_after_setup or 0 < phases == done or has_no_pool
