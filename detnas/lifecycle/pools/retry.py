"""A shared pool that failed under one search is tried by another, once each."""

import platform
from datetime import UTC, datetime

from detnas.lifecycle.failures import set_aside
from detnas.lifecycle.pools.lease import PoolLease
from detnas.lifecycle.reading.state import SearchReader, SearchState
from detnas.plan.requests import SearchRequests
from detnas.records import keys
from detnas.records.results import Outcome
from detnas.schema import Schema
from detnas.store import Store
from detnas.store.artifacts import canonical_json


class PoolRetry(Schema):
    """`pool-retry.json`: this search has tried again what failed under another."""

    folder: str
    machine: str
    since: datetime


def retry_failed_pool(
    store: Store, requests: SearchRequests, reader: SearchReader, claim: PoolLease | None
) -> str:
    """Let a phase that failed under another search be due for this one.

    Its image, its resources or its budget may have been at fault. A search that failed itself has
    failed, and one tries only once, so that two do not go on failing in turns.

    Args:
        store: where search and pool lie.
        requests: of the search.
        reader: knows of the failure; afterwards it does not, where the phase is due again.
        claim: our side of the pool's claim; none for a pool that is not ours to train.

    Returns:
        Key of the phase's folder, where its failure was set aside just now; else nothing.
    """
    state = reader.state
    if claim is None or state.prepare is None or not _failed_under_another(state, claim):
        return ""
    marker = keys.pool_retry_key(requests.search)
    if store.size(marker) is not None:
        return ""
    reader.forget_last_phase()
    if not claim.hold():  # a third search tries it already: we wait for that
        return ""
    folder = keys.pool_phase_folder(requests.pool_folder(state.prepare), len(state.pool) - 1)
    set_aside(store, folder, state.pool[-1])
    store.put(marker, canonical_json(_retry_of(folder)))
    return folder


def _failed_under_another(state: SearchState, claim: PoolLease) -> bool:
    failed = bool(state.pool) and state.pool[-1].outcome is not Outcome.SUCCEEDED
    return failed and not claim.was_last_held()


def _retry_of(folder: str) -> PoolRetry:
    return PoolRetry(folder=folder, machine=platform.node(), since=datetime.now(UTC))
