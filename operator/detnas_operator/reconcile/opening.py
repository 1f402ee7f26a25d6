"""Opens an accepted search: reads its record in its store, from which its session follows."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from detnas.lifecycle.pools.lease import PoolLease
from detnas.lifecycle.record import SearchRecord, StoredSearch, load_search_record, versions
from detnas.lifecycle.session import SearchSession
from detnas.plan.requests import SearchRequests
from detnas.records import keys
from detnas.store import Store
from detnas_operator.admission.admission import Admitted
from detnas_operator.admission.adoption import choose_folder
from detnas_operator.admission.location import own_folder
from detnas_operator.admission.recorded import judge_record, with_changeable_fields_of
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.searches import SearchKey, SearchView
from detnas_operator.configuration.job_policy import Rules
from detnas_operator.configuration.settings import OperatorSettings
from detnas_operator.reconcile.memory import SearchMemory
from detnas_operator.search_jobs.gpu_time import GpuTime
from detnas_operator.tenant_store.stores import Stores

MakeSession = Callable[[StoredSearch], SearchSession]


@dataclass(frozen=True, slots=True)
class SearchOpener:
    """Opens accepted searches.

    Attributes:
        settings: the administrator's.
        cache: of the cluster's searches.
        stores: opens them.
        clock: monotonic, in seconds.
    """

    settings: OperatorSettings
    cache: ClusterCache
    stores: Stores
    clock: Callable[[], float]

    def open(
        self, resource: SearchView, admitted: Admitted, earlier: SearchMemory | None
    ) -> SearchMemory:
        """Return the memory of a resource's generation, which continues an earlier one's.

        Raises:
            StoreError: the store cannot be used.
            BlockedError: see `open_memory`.
        """
        if earlier is not None and earlier.generation == resource.generation:
            return earlier
        key = resource.key
        store = self.stores.open(admitted.root, key.namespace)
        make_session = partial(self._session, key, earlier.session.lease if earlier else None)
        rules = self.settings.rules(key.namespace)
        memory = open_memory(resource, admitted, store, rules, make_session)
        if earlier is not None:
            memory.gpu_time = earlier.gpu_time
            memory.gpu_time.read_from(store, memory.session.requests.search)
        return memory

    def _session(
        self, key: SearchKey, lease: PoolLease | None, search: StoredSearch
    ) -> SearchSession:
        uid = search.requests.search[-8:]
        holder = f"search {key.name} in namespace {key.namespace} ({uid})"
        live_uid = partial(self._live_uid, key.namespace)
        return SearchSession(search, holder, live_uid=live_uid, clock=self.clock, lease=lease)

    def _live_uid(self, namespace: str, name: str) -> str | None:
        resource = self.cache.search(SearchKey(namespace, name))
        return None if resource is None else own_folder(resource).rpartition("-")[2]


def open_memory(
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
        manifest = with_changeable_fields_of(before.manifest, manifest)
    admitted = replace(admitted, manifest=manifest)  # one copy of a manifest is enough
    pinned, recorded = _pinned_image(resource), before.image if before else ""
    if before is not None:
        record = f"{store.uri}/{keys.search_record_key(folder)}"
        unjudged = "" if pinned else recorded
        admitted = judge_record(admitted, resource, unjudged, rules, record)
    requests = _requests(folder, admitted)
    known = None if before is None else (before.manifest, before.uid)
    is_new = known != (manifest, uid)
    search = StoredSearch(store, requests)
    return SearchMemory(
        generation=resource.generation,
        admitted=admitted,
        search=search,
        session=make_session(search),
        image=pinned or recorded or admitted.image,
        gpu_time=GpuTime(store, folder),
        unrecorded=_record(uid, admitted, requests) if is_new else None,
        record_seen=before is not None,
    )


def _requests(folder: str, admitted: Admitted) -> SearchRequests:
    return SearchRequests(
        manifest=admitted.manifest,
        search=folder,
        folder=None,
        pools=admitted.pools_namespace,
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
