"""The source of a warm start: by name or URI, in this store or another."""

from pathlib import Path

import pytest

from detnas.lifecycle.blocked import BlockedError
from detnas.records.verbs import Verb
from detnas.store import Store, open_store
from tests.detnas.searches.in_process import (
    WARM_START,
    Scheduler,
    delete,
    entries,
    reread,
    session_of,
    tiny,
)


def test_source_by_name_must_be_unique(store: Store, scheduler: Scheduler) -> None:
    two = tiny(store, "two", WARM_START)
    with pytest.raises(BlockedError, match="no search of that name") as missing:
        scheduler.run(two)
    assert missing.value.code == "WarmStartMissing"
    first, second = tiny(store, "one", trials=1), tiny(store, "one", trials=1, seed=7)
    scheduler.run(first)
    with pytest.raises(BlockedError, match="2 searches had that name") as ambiguous:
        scheduler.run(two)
    assert ambiguous.value.code == "WarmStartAmbiguous"
    assert first.uri in str(ambiguous.value)
    assert second.uri in str(ambiguous.value)
    named = tiny(store, "three", {"warmStart": {"from": first.uri}}, trials=1)
    assert scheduler.run(named).history.summary.inherited == 1


def test_source_by_name_is_the_search_that_has_it_now(store: Store, scheduler: Scheduler) -> None:
    old, new = tiny(store, "one", trials=1), tiny(store, "one", trials=1, seed=7)
    scheduler.run(old)
    scheduler.run(new)
    two = tiny(store, "two", WARM_START)
    scheduler.prepare(two)
    uid = new.requests.search.rpartition("-")[2]
    session_of(two, live_uid={"one": f"{uid}-and-more"}.get).resolve_supplied()
    scheduler.run(two)
    stored = store.get(f"{two.requests.search}/inherited/result.json")
    assert stored is not None
    assert new.uri.encode() in stored.data


def test_source_in_another_store_is_copied_completely(
    store: Store, scheduler: Scheduler, tmp_path: Path
) -> None:
    other = open_store((tmp_path / "other").as_uri())
    one = tiny(other, "one", trials=3)
    scheduler.run(one)
    scheduler.done.clear()
    two = tiny(store, "two", {"warmStart": {"from": one.uri}}, trials=2)
    state = scheduler.run(two)
    assert (scheduler.ran(Verb.BASE), state.trials) == ([], 2)
    assert state.history.summary.inherited == 3
    delete(one)
    assert reread(two) == state


def test_chain_of_warm_starts_inherits_every_trial(store: Store, scheduler: Scheduler) -> None:
    scheduler.run(tiny(store, "one", trials=3))
    scheduler.run(tiny(store, "two", WARM_START, trials=3))
    three = tiny(store, "three", {"warmStart": {"from": "two"}}, trials=3)
    state = scheduler.run(three)
    found = entries(three, state)
    assert [entry.inherited for entry in found] == [True] * 6 + [False] * 3
    assert state.trials == 3
