"""Supplied inputs of a search: a pool trained elsewhere, another search to begin with."""

import contextlib
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime

from detnas.lifecycle.blocked import BlockedError
from detnas.lifecycle.pools.lease import PoolLease
from detnas.lifecycle.pools.supplied import check_supplied_pool, check_trained_pool
from detnas.lifecycle.pools.trained_pool import record_trained_pool
from detnas.lifecycle.reading.state import SearchReader, SearchState
from detnas.lifecycle.reading.verification import set_aside
from detnas.lifecycle.record import StoredSearch
from detnas.lifecycle.warm_start.inheritance import (
    TrialInheritance,
    base_has_begun,
    has_inherited,
    inherit_base,
    recorded_source,
)
from detnas.lifecycle.warm_start.source import LiveUid, check_fit, find_source
from detnas.records import keys
from detnas.records.results import Outcome, PrepareResult
from detnas.schema import Schema
from detnas.spec.storage import WarmStart
from detnas.store.record_format import encode_record


class PoolRetry(Schema):
    """`pool-retry.json`: this search has retried a phase that failed under another."""

    folder: str
    machine: str
    since: datetime


@dataclass
class SuppliedInputs:
    """Resolves the supplied inputs of one search before anything that needs them is due.

    Attributes:
        search: the search.
        live_uid: returns the UID of the resource that has a name now.
    """

    search: StoredSearch
    live_uid: LiveUid
    _pool_is_resolved: bool = field(default=False, init=False)
    _warm_start_is_resolved: bool = field(default=False, init=False)

    def resolve(self, reader: SearchReader) -> None:
        """Check the supplied inputs, and inherit trials and base; changes the reader's state.

        Raises:
            BlockedError: an input is missing, unfinished or does not fit. It may be there later.
        """
        prepared = _succeeded(reader.state.prepare)
        if not self._pool_is_resolved:
            try:
                self._pool_is_resolved = reader.has_recorded_pool or self._resolve_pool(
                    reader.state, prepared
                )
            except BlockedError:
                reader.forget_pool()  # once it is repaired, it may be another
                raise
        start = self.search.requests.spec.warm_start
        if start is None or self._warm_start_is_resolved:
            return
        self._inherit(start, prepared)
        if prepared is not None:  # before that, reading again might find more than was checked
            self._warm_start_is_resolved = True
            reader.read()

    def retry_failed_pool(self, reader: SearchReader, lease: PoolLease | None) -> str:
        """Make a pool phase that failed under another search due for this one.

        The other search's image, resources or budget may be the cause. A search does not retry its
        own failure, and each retries only once, so that two do not fail in turn forever.

        Args:
            reader: its state then lacks the failed phase.
            lease: our side of the pool's lease; None if the pool is not ours to train.

        Returns:
            Key of the phase's folder if its failure was set aside now; else empty.
        """
        store, requests, state = self.search.store, self.search.requests, reader.state
        if lease is None or state.prepare is None or not _failed_under_another(state, lease):
            return ""
        marker = keys.pool_retry_key(requests.search)
        if store.size(marker) is not None:
            return ""
        reader.forget_last_phase()
        if not lease.hold():  # a third search retries it already, and this one waits
            return ""
        folder = keys.pool_phase_folder(requests.pool_folder(state.prepare), len(state.pool) - 1)
        set_aside(store, folder, state.pool[-1])
        retry = PoolRetry(folder=folder, machine=platform.node(), since=datetime.now(UTC))
        store.put(marker, encode_record(retry))
        return folder

    def _resolve_pool(self, state: SearchState, prepared: PrepareResult | None) -> bool:
        """Return whether the pool is trained, if there is one; check a supplied or complete one."""
        store, requests = self.search.store, self.search.requests
        if not requests.spec.teachers.trained_phases:
            return True
        if store.size(keys.trained_pool_key(requests.search)) is not None:
            return True
        if requests.existing_pool is not None:
            check_supplied_pool(store, requests, prepared)
        elif prepared is not None and len(state.pool) == len(requests.spec.teachers.phases):
            check_trained_pool(store, requests.pool_folder(prepared), state.pool)
        return record_trained_pool(store, requests, state.pool)

    def _inherit(self, start: WarmStart, prepared: PrepareResult | None) -> None:
        recorded = recorded_source(self.search)
        if has_inherited(self.search):
            if not base_has_begun(self.search) and recorded is not None:
                with contextlib.suppress(BlockedError):  # it is gone: a base is trained
                    inherit_base(self.search, find_source(self.search, recorded, self.live_uid))
            return
        source = find_source(self.search, recorded or start.search, self.live_uid)
        check_fit(self.search.requests.spec, source, prepared)
        if prepared is not None:
            TrialInheritance(self.search, source, prepared).run()
            inherit_base(self.search, source)


def _succeeded(prepare: PrepareResult | None) -> PrepareResult | None:
    return prepare if prepare is not None and prepare.outcome is Outcome.SUCCEEDED else None


def _failed_under_another(state: SearchState, lease: PoolLease) -> bool:
    failed = bool(state.pool) and state.pool[-1].outcome is not Outcome.SUCCEEDED
    return failed and not lease.was_last_held()
