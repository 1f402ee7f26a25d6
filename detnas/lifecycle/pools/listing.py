"""The pools of a store: how far each is trained, by whom, and which searches use it."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from detnas.lifecycle.attempts import latest_progress
from detnas.lifecycle.jobs import job_folder
from detnas.lifecycle.pools.lease import LeaseRecord
from detnas.lifecycle.pools.supplied import pool_key
from detnas.lifecycle.reading.state import SearchReader, SearchState
from detnas.lifecycle.record import load_search_record
from detnas.plan.requests import SearchRequests
from detnas.plan.stages import JobId, Phase, plan
from detnas.records import keys
from detnas.records.results import Attempt, Outcome, PoolPhaseResult, PrepareResult
from detnas.records.verbs import Verb
from detnas.schema import Count, Schema
from detnas.store import Store
from detnas.store.artifacts import load_record
from detnas.store.errors import WrongCredentials

SHARED = "shared"
"""Replaces the namespace in the key of a pool that all namespaces share."""


class PoolUser(Schema):
    """A search that uses a pool.

    Attributes:
        search: URI of its folder.
        phase: of the search.
        on_cluster: whether an operator runs it, not `detnas run`.
        heard: when a job of its own last wrote something; None if none did.
    """

    search: str
    phase: Phase
    on_cluster: bool = False
    heard: datetime | None = None

    @property
    def name(self) -> str:
        """Of the search: the folder's name without the part of the UID."""
        return self.search.rpartition("/")[2].rpartition("-")[0]

    @property
    def namespace(self) -> str:
        """Of the search."""
        return self.search.split("/")[-3]


class PoolStatus(Schema):
    """A pool.

    Attributes:
        namespace: of the pool; `shared` if all namespaces share it.
        digest: names it.
        uri: of its folder.
        phases: how many are trained.
        began: when its training began; None if not recorded.
        holder: of its lease; None if nobody trains it.
        heartbeat: of the holder.
        objects: how many it consists of.
        bytes: of all objects.
        users: searches that use it.
    """

    namespace: str
    digest: str
    uri: str
    phases: Count
    began: datetime | None = None
    holder: str | None = None
    heartbeat: datetime | None = None
    objects: Count
    bytes: Count
    users: tuple[PoolUser, ...] = ()

    @property
    def key(self) -> str:
        """Of its folder."""
        return keys.pool_folder(self.namespace, self.digest)


def list_pools(store: Store, namespace: str | None = None) -> tuple[PoolStatus, ...]:
    """Return the pools of a store.

    Args:
        store: where they are stored.
        namespace: of the pools; by default all.

    Raises:
        UserError: the store, or a record in it, cannot be read.
    """
    namespaces = _namespaces(store, namespace)
    users = _users(store, namespaces)
    return tuple(
        _status(store, name, digest, found, users[name, digest])
        for name in namespaces
        if namespace in (None, name)
        for digest in store.folders(f"{keys.pools_folder(name)}/")
        if (found := list(store.list(f"{keys.pool_folder(name, digest)}/")))
    )


def pool_users(store: Store, pool: PoolStatus) -> tuple[PoolUser, ...]:
    """Read again which searches use a pool."""
    namespaces = _namespaces(store, pool.namespace)
    return tuple(_users(store, namespaces)[pool.namespace, pool.digest])


def _namespaces(store: Store, namespace: str | None) -> list[str]:
    """Namespaces whose searches may use the pools of one; credentials may cover only that."""
    try:
        return list(store.folders(""))
    except WrongCredentials as error:
        if namespace in (None, SHARED):
            advice = "or name the namespace that these keys are for with --namespace"
            raise WrongCredentials(error.problem, f"{error.remedy}; {advice}") from error
        return [namespace]


def _status(
    store: Store, namespace: str, digest: str, found: list[str], users: list[PoolUser]
) -> PoolStatus:
    folder = keys.pool_folder(namespace, digest)
    lease = load_record(store, keys.pool_lease_key(folder), LeaseRecord)
    held = None if lease is None or lease.released else lease
    first = keys.attempt_key(keys.pool_phase_folder(folder, 0), 1)
    attempt = load_record(store, first, Attempt)
    return PoolStatus(
        namespace=namespace,
        digest=digest,
        uri=f"{store.uri}/{folder}",
        phases=_trained(store, folder),
        began=attempt.started if attempt else None,
        holder=held.holder if held else None,
        heartbeat=held.heartbeat if held else None,
        objects=len(found),
        bytes=sum(store.size(key) or 0 for key in found),
        users=tuple(users),
    )


def _trained(store: Store, folder: str) -> int:
    number = 0
    while True:
        key = keys.result_key(keys.pool_phase_folder(folder, number))
        result = load_record(store, key, PoolPhaseResult)
        if result is None or result.outcome is not Outcome.SUCCEEDED:
            return number
        number += 1


def _users(store: Store, namespaces: list[str]) -> defaultdict[tuple[str, str], list[PoolUser]]:
    """Searches by the namespace and digest of the pools that they use or may use."""
    users: defaultdict[tuple[str, str], list[PoolUser]] = defaultdict(list)
    for namespace in namespaces:
        for name in store.folders(f"{keys.searches_folder(namespace)}/"):
            folder = f"{keys.searches_folder(namespace)}/{name}"
            requests = _requests(store, folder)
            used = () if requests is None else tuple(_pools_of(store, requests, namespace))
            if requests is not None and used:
                user = _user(store, requests)
                for pool in used:
                    users[pool].append(user)
    return users


def _requests(store: Store, folder: str) -> SearchRequests | None:
    record = load_search_record(store, folder)
    if record is None:
        return None
    pool = record.manifest.spec.teachers.pool
    existing = None if pool is None else pool_key(pool, store.uri)
    started_from = Path(record.folder) if record.folder else None
    return SearchRequests(record.manifest, folder, started_from, existing_pool=existing)


def _pools_of(store: Store, requests: SearchRequests, namespace: str) -> Iterator[tuple[str, str]]:
    if not requests.spec.teachers.trained_phases:
        return
    if requests.existing_pool is not None:
        folder, _, digest = requests.existing_pool.split("/")
        yield folder, digest
        return
    key = keys.result_key(keys.prepare_folder(requests.search))
    prepared = load_record(store, key, PrepareResult)
    if prepared is None or prepared.outcome is not Outcome.SUCCEEDED:
        return
    digest = requests.pool_folder(prepared).rpartition("/")[2]
    # The store does not record whether the namespaces of a cluster share their pools.
    yield namespace, digest
    if namespace != SHARED:
        yield SHARED, digest


def _user(store: Store, requests: SearchRequests) -> PoolUser:
    state = SearchReader(store, requests).read()
    decided = plan(state.observation, requests.spec)
    return PoolUser(
        search=f"{store.uri}/{requests.search}",
        phase=decided.phase,
        on_cluster=requests.folder is None,
        heard=last_activity(store, requests, state, decided.due),
    )


def last_activity(
    store: Store, requests: SearchRequests, state: SearchState, due: tuple[JobId, ...]
) -> datetime | None:
    """Return when a job of the search last wrote a result or its progress; None if none did.

    A pool's phases may have been trained for another search, so they do not count.

    Args:
        store: where the search is stored.
        requests: names its folders.
        state: of the search.
        due: jobs that run, or would if the search were run.
    """
    stages = state.final_stages
    later = [job.result for job in stages.jobs] if stages else []
    own = (state.prepare, state.base, state.extraction, *later)
    times = [result.finished for result in own if result]
    summary = state.history.summary
    entries = [*summary.top, *summary.failures, *state.history.unsegmented.values()]
    times += [entry.finished for entry in entries if not entry.inherited]
    folders = [job_folder(requests, state, job) for job in due if job.verb is not Verb.POOL]
    latest = [latest_progress(store, folder) for folder in folders]
    return max([*times, *(progress.updated for progress in latest if progress)], default=None)
