"""What the operator holds of a search between passes; all of it can be read again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from detnas.lifecycle.pools.lease import PoolLease
from detnas.lifecycle.record import (
    SearchRecord,
    StoredSearch,
    load_search_record,
    record_search,
    versions,
)
from detnas.lifecycle.session import SearchSession
from detnas.plan.requests import SearchRequests
from detnas.plan.stages import JobId
from detnas.records import keys
from detnas.records.progress import Progress
from detnas.records.results import Outcome, PrepareResult
from detnas.store import Store
from detnas_operator.admission.admission import (
    Admitted,
    with_current_settings,
    with_record_judged,
)
from detnas_operator.admission.adoption import choose_folder
from detnas_operator.admission.location import own_folder
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.objects import SearchKey, SearchView
from detnas_operator.configuration.job_policy import Rules
from detnas_operator.configuration.settings import OperatorSettings
from detnas_operator.job.names import job_name
from detnas_operator.job_state.stalled import ProgressReading
from detnas_operator.lookups.pod_lookup import ObservedPods
from detnas_operator.reconcile.gpu_time import GpuTime
from detnas_operator.reconcile.job_creation import OwnLabels
from detnas_operator.tenant_store.stores import Stores

MakeSession = Callable[[StoredSearch], SearchSession]


@dataclass
class SearchMemory:
    """One accepted search between its passes.

    Attributes:
        uid: of the resource.
        generation: of the resource; each generation has a memory of its own.
        admitted: its tenant and root.
        search: its requests and its store.
        session: its state, as a scheduler drives it.
        image: of the trainer, pinned when the search began.
        gpu_time: GPU time that it has used.
        unrecorded: what is to be written as `search.json`, once no data is known to be lost.
        progress: of its running jobs, by folder, as last read.
        running_since: when a Job's pods were first observed to run without a break, by its name.
        observed: when pods, and whether the store was emptied, were last observed; None if never.
        patched: when its status was last written.
        result_since: when a running Job's result was first observed, by the Job's name.
        observed_pods: why its Jobs do not run, as last looked up.
        trained_pool: this search trained the pool that is ready; None while that is not known.
        labels: of its Jobs.
        compared: the state has been compared with what is finished according to the status.
        pool: URI of its pool's folder, by the data check that it follows from.
    """

    uid: str
    generation: int
    admitted: Admitted
    search: StoredSearch
    session: SearchSession
    image: str
    gpu_time: GpuTime
    unrecorded: SearchRecord | None = None
    progress: Mapping[str, ProgressReading] = field(default_factory=dict)
    running_since: dict[str, float] = field(default_factory=dict)
    observed: float | None = None
    patched: float | None = None
    result_since: dict[str, float] = field(default_factory=dict)
    observed_pods: ObservedPods = field(default_factory=ObservedPods)
    trained_pool: bool | None = None
    labels: OwnLabels = field(default_factory=OwnLabels)
    compared: bool = False
    pool: tuple[PrepareResult, str] | None = None

    def is_of(self, resource: SearchView) -> bool:
        """Whether it was made for this resource as it is now."""
        return (self.uid, self.generation) == (resource.uid, resource.generation)

    def job_name(self, job_id: JobId) -> str:
        """Name of a job's Job; final stages are named by the trial they are for."""
        name = self.session.requests.manifest.metadata.name
        return job_name(name, job_id, self.session.job_folder(job_id))

    def invalidate(self) -> None:
        """Forget what was read of the store."""
        self.compared = False
        self.session.invalidate()

    def pool_uri(self) -> str:
        """URI of the teacher pool's folder; empty until the data is known."""
        prepared = self.session.state.prepare
        if prepared is None or prepared.outcome is not Outcome.SUCCEEDED:
            return ""
        if self.pool is None or self.pool[0] is not prepared:  # its digest is expensive
            folder = self.session.requests.pool_folder(prepared)
            self.pool = (prepared, f"{self.session.store.uri}/{folder}")
        return self.pool[1]

    def record(self) -> None:
        """Write the search's record to the store if it is new or has changed."""
        if self.unrecorded is not None:
            record_search(self.session.store, self.session.requests.search, self.unrecorded)
            self.unrecorded = None

    @property
    def is_recorded(self) -> bool:
        """Whether the search's manifest is in the store, as it is while its data is there."""
        key = keys.search_record_key(self.session.requests.search)
        return self.session.store.size(key) is not None

    def progress_of(self, folder: str) -> Progress | None:
        """Return the progress of the running job in a folder, as last read."""
        return self.progress[folder].attempts.progress if folder in self.progress else None

    def attempts_at(self, folder: str) -> int:
        """Return how many attempts the running job in a folder has made, as last read."""
        return self.progress[folder].attempts.number if folder in self.progress else 0

    def has_published(self, folder: str) -> bool:
        """Whether the running job in a folder has written its result, as last read."""
        return folder in self.progress and self.progress[folder].attempts.has_result


class SearchMemories(dict[SearchKey, SearchMemory]):
    """The memories of all accepted searches.

    Args:
        settings: the administrator's.
        cache: of the cluster's searches.
        stores: opens them.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        settings: OperatorSettings,
        cache: ClusterCache,
        stores: Stores,
        clock: Callable[[], float],
    ) -> None:
        super().__init__()
        self._settings = settings
        self._cache = cache
        self._stores = stores
        self._clock = clock

    def leases(self) -> list[PoolLease]:
        """Return the pool leases of all searches; from any thread."""
        sessions = [memory.session for memory in list(self.values())]
        return [lease for session in sessions if (lease := session.lease) is not None]

    def current(self, key: SearchKey, resource: SearchView, admitted: Admitted) -> SearchMemory:
        """Return the memory of a resource's generation, which continues an earlier one's.

        Raises:
            StoreError: the store cannot be used.
            BlockedError: see `begin`.
        """
        earlier = self.get(key)
        if earlier is not None and earlier.is_of(resource):
            return earlier
        store = self._stores.open(admitted.root, key.namespace)
        make_session = partial(self._session, key, earlier.session.lease if earlier else None)
        rules = self._settings.rules(key.namespace)
        memory = begin(resource, admitted, store, rules, make_session)
        if earlier is not None:
            memory.patched, memory.gpu_time = earlier.patched, earlier.gpu_time
            memory.gpu_time.read_from(store, memory.session.requests.search)
        self[key] = memory
        return memory

    def _session(
        self, key: SearchKey, lease: PoolLease | None, search: StoredSearch
    ) -> SearchSession:
        uid = search.requests.search[-8:]
        holder = f"search {key.name} in namespace {key.namespace} ({uid})"
        live_uid = partial(self._live_uid, key.namespace)
        return SearchSession(search, holder, live_uid=live_uid, clock=self._clock, lease=lease)

    def _live_uid(self, namespace: str, name: str) -> str | None:
        resource = self._cache.search(SearchKey(namespace, name))
        return None if resource is None else own_folder(resource).rpartition("-")[2]


def begin(
    resource: SearchView,
    admitted: Admitted,
    store: Store,
    rules: Rules,
    make_session: MakeSession = lambda search: SearchSession(search, ""),
) -> SearchMemory:
    """Read the search's manifest as recorded when it began, if it has; nothing is written yet.

    Args:
        resource: the custom resource as the API serves it.
        admitted: its admission.
        store: of the search.
        rules: of its namespace.
        make_session: makes its session.

    Raises:
        StoreError: the store cannot be used.
        BlockedError: the user must decide whether it continues with earlier data, or the recorded
            manifest breaks the rules.
    """
    uid, manifest = resource.uid, admitted.manifest
    folder = choose_folder(resource, manifest, store)
    before = load_search_record(store, folder)
    if before is not None:
        manifest = with_current_settings(before.manifest, manifest)
    admitted = replace(admitted, manifest=manifest)  # one copy of a manifest is enough
    pinned, recorded = _pinned_image(resource), before.image if before else ""
    if before is not None:
        record = f"{store.uri}/{keys.search_record_key(folder)}"
        unjudged = "" if pinned else recorded
        admitted = with_record_judged(admitted, resource, unjudged, rules, record)
    requests = _requests(folder, admitted)
    known = None if before is None else (before.manifest, before.uid)
    is_new = known != (manifest, uid)
    search = StoredSearch(store, requests)
    return SearchMemory(
        uid=uid,
        generation=resource.generation,
        admitted=admitted,
        search=search,
        session=make_session(search),
        image=pinned or recorded or admitted.image,
        gpu_time=GpuTime(store, folder),
        unrecorded=_record(uid, admitted, requests) if is_new else None,
    )


def _requests(folder: str, admitted: Admitted) -> SearchRequests:
    return SearchRequests(
        manifest=admitted.manifest,
        search=folder,
        folder=None,
        pools=admitted.pools,
        existing_pool=admitted.existing_pool,
    )


def _record(uid: str, admitted: Admitted, requests: SearchRequests) -> SearchRecord:
    return SearchRecord(
        uid=uid,
        folder="",
        data=requests.data,
        manifest=requests.manifest,
        versions=versions(),
        image=admitted.image,
    )


def _pinned_image(resource: SearchView) -> str:
    """Jobs can write the record, but not the status: once that names the image, it decides."""
    image = resource.image
    return "" if image.endswith("…") else image  # it was too long for the status


def seconds_since(moment: float | None, now: float) -> float:
    """Return the seconds since a moment on the monotonic clock; infinite if there was none."""
    return float("inf") if moment is None else now - moment
