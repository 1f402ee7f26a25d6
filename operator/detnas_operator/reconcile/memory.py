"""What the operator holds of a search between passes; all of it can be read again."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from detnas.lifecycle.pools.lease import PoolLease
from detnas.lifecycle.record import SearchRecord, StoredSearch, record_search
from detnas.lifecycle.session import SearchSession
from detnas.plan.stages import JobId
from detnas.records import keys
from detnas.records.progress import Progress
from detnas.records.results import Outcome
from detnas_operator.admission.admission import Admitted
from detnas_operator.job.names import job_name
from detnas_operator.job_state.stalled import ProgressReading
from detnas_operator.lookups.pod_lookup import ObservedPods
from detnas_operator.search_jobs.gpu_time import GpuTime
from detnas_operator.search_jobs.own_labels import OwnLabels
from detnas_operator.search_jobs.remaining_pods import SuspendedPods


@dataclass
class RunningJobs:
    """What was last observed of a search's Jobs that have not ended; times are monotonic seconds.

    Attributes:
        progress: what they have written, by their job's folder.
        pods: why they do not run.
        since: when a Job's pods were first observed to run without a break, by its name.
        result_since: when the result of one that still runs was first observed, by its name.
        checked: when their pods, and whether the store was emptied, were observed; None if never.
    """

    progress: Mapping[str, ProgressReading] = field(default_factory=dict)
    pods: ObservedPods = field(default_factory=ObservedPods)
    since: dict[str, float] = field(default_factory=dict)
    result_since: dict[str, float] = field(default_factory=dict)
    checked: float | None = None

    def progress_of(self, folder: str) -> Progress | None:
        """Return the progress of the running job in a folder, as last read."""
        return self.progress[folder].attempts.progress if folder in self.progress else None

    def attempts_at(self, folder: str) -> int:
        """Return how many attempts the running job in a folder has made, as last read."""
        return self.progress[folder].attempts.number if folder in self.progress else 0

    def has_published(self, folder: str) -> bool:
        """Whether the running job in a folder has written its result, as last read."""
        return folder in self.progress and self.progress[folder].attempts.has_result


@dataclass
class SearchMemory:
    """One generation of an accepted search between its passes.

    Attributes:
        generation: of the resource.
        admitted: its tenant and root.
        search: its requests and its store.
        session: its state, as a scheduler drives it.
        image: of the trainer, pinned when the search began.
        gpu_time: GPU time that it has used.
        unrecorded: what is to be written as `search.json`, once no data is known to be lost.
        record_seen: it was read or written in this pass.
        compared: the state has been compared with what is finished according to the status.
        running: its Jobs that have not ended.
        labels: of its Jobs.
        owned_pool_before: whether it trained its pool's last phase, once that is known.
    """

    generation: int
    admitted: Admitted
    search: StoredSearch
    session: SearchSession
    image: str
    gpu_time: GpuTime
    unrecorded: SearchRecord | None = None
    record_seen: bool = False
    compared: bool = False
    running: RunningJobs = field(default_factory=RunningJobs)
    labels: OwnLabels = field(default_factory=OwnLabels)
    owned_pool_before: bool | None = None

    def job_name(self, job_id: JobId) -> str:
        """Name of a job's Job; final stages are named by the trial they are for."""
        name = self.session.requests.manifest.metadata.name
        return job_name(name, job_id, self.session.job_folder(job_id))

    def pool_uri(self) -> str:
        """URI of its teacher pool's folder; empty until the data is known, and without a pool."""
        session, prepared = self.session, self.session.state.prepare
        if prepared is None or prepared.outcome is not Outcome.SUCCEEDED:
            return ""
        if not session.spec.teachers.trained_phases:
            return ""
        return f"{session.store.uri}/{session.requests.pool_folder(prepared)}"

    def owns_pool(self) -> bool:
        """Whether it trains its pool, or has: another search may have, or it was supplied."""
        session, lease = self.session, self.session.lease
        if lease is None or lease.held:
            return lease is not None
        if len(session.state.pool) < len(session.spec.teachers.trained_phases):
            return False
        if self.owned_pool_before is None:
            self.owned_pool_before = lease.was_last_held()
        return self.owned_pool_before

    def begin_pass(self) -> None:
        """Look for the record again: the store may have been emptied since the last pass."""
        self.record_seen = False

    def invalidate(self) -> None:
        """Forget what was read of the store."""
        self.compared = False
        self.session.invalidate()

    def record(self) -> None:
        """Write the search's record to the store if it is new or has changed."""
        if self.unrecorded is not None:
            record_search(self.session.store, self.session.requests.search, self.unrecorded)
            self.unrecorded, self.record_seen = None, True

    def is_recorded(self) -> bool:
        """Whether the search's manifest is in the store, as it is while its data is there."""
        if not self.record_seen:
            key = keys.search_record_key(self.session.requests.search)
            self.record_seen = self.session.store.size(key) is not None
        return self.record_seen


@dataclass
class KnownSearch:
    """What is held of one resource, whether it is accepted or not.

    Attributes:
        uid: of the resource: another one of its name is another search.
        memory: of its current generation; None until a pass accepts it, and of a complete search.
        failures: passes in a row that failed for a lasting reason.
        passes_with_api_errors: in a row.
        suspended_pods: while it is suspended, whether pods are left.
        patched: when its status was last written, in monotonic seconds; None if never.
        complete_at: version of the resource at which a pass found the search complete.
    """

    uid: str
    memory: SearchMemory | None = None
    failures: int = 0
    passes_with_api_errors: int = 0
    suspended_pods: SuspendedPods = field(default_factory=SuspendedPods)
    patched: float | None = None
    complete_at: int | None = None

    @property
    def lease(self) -> PoolLease | None:
        """Its side of its pool's lease; None if it has none."""
        memory = self.memory
        return None if memory is None else memory.session.lease

    def release_pool(self) -> None:
        """Let other searches train the pool."""
        if self.memory is not None:
            self.memory.session.release_pool()


def seconds_since(moment: float | None, now: float) -> float:
    """Return the seconds since a moment on the monotonic clock; infinite if there was none."""
    return float("inf") if moment is None else now - moment
