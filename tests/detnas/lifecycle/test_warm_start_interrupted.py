"""A process that dies while inheriting inherits the same trials after restarts."""

from pathlib import Path
from typing import Any

import pytest

from detnas.lifecycle.record import StoredSearch
from detnas.store import Store
from tests.detnas.searches.in_process import WARM_START, Scheduler, entries, session_of, tiny


def test_inheritance_interrupted_at_any_write_is_completed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source continues in the meantime, and collects weights."""
    scheduler = Scheduler(tmp_path)
    scheduler.run(tiny(store, "one", trials=4))
    two = tiny(store, "two", WARM_START, trials=2)
    writes = 0
    while True:
        writes += 1
        if _resolves_within(two, scheduler, writes, monkeypatch):
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


def test_inheritance_interrupted_at_every_first_write_is_completed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = Scheduler(tmp_path)
    scheduler.run(tiny(store, "one", trials=4))
    two = tiny(store, "two", WARM_START, trials=2)
    scheduler.prepare(two)
    starts = 1
    while not _resolves_within(two, scheduler, 1, monkeypatch):
        starts += 1
        assert starts < 50
    assert starts > 5
    assert scheduler.run(two).trials == 2


class Died(BaseException):
    """The process died at this write."""


def _resolves_within(
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
            session_of(search).resolve_supplied()
        except Died:
            return False
    return True
