"""What a search is given from elsewhere: a trained pool, another search to go on from."""

import contextlib
from dataclasses import dataclass, field

from detnas.lifecycle.blocked import BlockedError
from detnas.lifecycle.pools.supplied import check_found_pool, check_given_pool
from detnas.lifecycle.pools.trained import record_trained_pool
from detnas.lifecycle.reading.state import SearchReader, SearchState
from detnas.lifecycle.record import StoredSearch
from detnas.lifecycle.warm_start.base import base_has_begun, take_base
from detnas.lifecycle.warm_start.source import LiveUid, check_fit, find_source
from detnas.lifecycle.warm_start.trials import TrialInheritance, begun_with, has_inherited
from detnas.records import keys
from detnas.records.results import Outcome, PrepareResult
from detnas.spec.storage import WarmStart


def _nobody(_name: str) -> None:
    return None


@dataclass
class SuppliedInputs:
    """Sees to what a search is given, before anything that needs it is due.

    Attributes:
        search: which.
        live_uid: who has a name now; by default nobody, so that the store alone says.
    """

    search: StoredSearch
    live_uid: LiveUid = _nobody
    _pool_is_settled: bool = field(default=False, init=False)
    _start_is_settled: bool = field(default=False, init=False)

    def settle(self, reader: SearchReader) -> SearchState:
        """Check what is given, and take over what is to be; return where the search then stands.

        Called before every plan; what was settled once is not looked at again.

        Raises:
            BlockedError: something is missing, unfinished or does not fit. It may be there later.
        """
        prepared = _succeeded(reader.state.prepare)
        if not self._pool_is_settled:
            try:
                self._pool_is_settled = reader.found_recorded_pool or self._settle_pool(
                    reader.state, prepared
                )
            except BlockedError:
                reader.forget_pool()  # once it is mended, it may be another
                raise
        start = self.search.requests.spec.warm_start
        if start is None or self._start_is_settled:
            return reader.state
        self._take_over(start, prepared)
        if prepared is None:  # what is read anew might have more than was settled
            return reader.state
        self._start_is_settled = True
        return reader.read()

    def _settle_pool(self, state: SearchState, prepared: PrepareResult | None) -> bool:
        """See whether the pool is trained, and fits where it is a given one."""
        store, requests = self.search.store, self.search.requests
        if store.size(keys.trained_pool_key(requests.search)) is not None:
            return True
        if requests.existing_pool is not None:
            check_given_pool(store, requests, prepared)
        elif prepared is not None and len(state.pool) == len(requests.spec.teachers.phases):
            check_found_pool(store, requests.pool_folder(prepared), state.pool)
        return record_trained_pool(store, requests, state.pool)

    def _take_over(self, start: WarmStart, prepared: PrepareResult | None) -> None:
        begun = begun_with(self.search)
        if has_inherited(self.search):
            if not base_has_begun(self.search) and begun is not None:
                with contextlib.suppress(BlockedError):  # it is gone: the base is trained anew
                    take_base(self.search, find_source(self.search, begun, self.live_uid))
            return
        source = find_source(self.search, begun or start.search, self.live_uid)
        check_fit(self.search.requests.spec, source, prepared)
        if prepared is not None:
            TrialInheritance(self.search, source, prepared).run()
            take_base(self.search, source)


def _succeeded(prepare: PrepareResult | None) -> PrepareResult | None:
    return prepare if prepare is not None and prepare.outcome is Outcome.SUCCEEDED else None
