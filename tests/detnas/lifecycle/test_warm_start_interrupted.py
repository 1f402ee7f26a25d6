"""A process that dies while it takes another search over takes the same over in the end."""

from pathlib import Path
from typing import Any

import pytest

from detnas.lifecycle.reading.state import SearchReader
from detnas.lifecycle.record import StoredSearch
from detnas.lifecycle.supplied import SuppliedInputs
from detnas.store import Store
from tests.detnas.lifecycle.pretended_searches import ONE, Scheduler, entries, tiny


def test_whatever_moment_it_dies_at_it_takes_the_same_over(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other search goes on meanwhile, and collects weights that it needs no more."""
    scheduler = Scheduler(tmp_path)
    scheduler.run(tiny(store, "one", trials=4))
    two = tiny(store, "two", ONE, trials=2)
    writes = 0
    while True:
        writes += 1
        if _settles_within(two, scheduler, writes, monkeypatch):
            break
        scheduler.run(tiny(store, "one", trials=4 + writes, patience=1000))
    assert writes > 5
    state = scheduler.run(two)
    found = entries(two, state)
    assert [entry.index for entry in found] == list(range(len(found)))
    assert state.trials == 2
    assert len(found) >= 6
    for entry in state.history.summary.top:
        assert entry.weights is not None
        assert store.size(entry.weights.key) == entry.weights.size


def test_a_process_that_dies_soon_after_every_start_comes_to_the_end(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = Scheduler(tmp_path)
    scheduler.run(tiny(store, "one", trials=4))
    two = tiny(store, "two", ONE, trials=2)
    scheduler.prepare(two)
    starts = 1
    while not _settles_within(two, scheduler, 1, monkeypatch):
        starts += 1
        assert starts < 50
    assert starts > 5
    assert scheduler.run(two).trials == 2


class Died(BaseException):
    """The process died at this write."""


def _settles_within(
    search: StoredSearch,
    scheduler: Scheduler,
    writes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> bool:
    store, left = search.store, [writes]

    def dying(real: Any) -> Any:
        def verb(*arguments: Any) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Died
            real(*arguments)

        return verb

    with monkeypatch.context() as patch:
        patch.setattr(store, "put_if_absent", dying(store.put_if_absent))
        patch.setattr(store, "copy", dying(store.copy))
        try:
            scheduler.prepare(search)
            reader = SearchReader(store, search.requests)
            reader.read()
            SuppliedInputs(search).settle(reader)
        except Died:
            return False
    return True
