"""Which search another goes on from: by name, by address, of this store or another."""

from pathlib import Path

import pytest

from detnas.lifecycle.blocked import BlockedError
from detnas.lifecycle.reading.state import SearchReader
from detnas.lifecycle.supplied import SuppliedInputs
from detnas.plan.stages import Verb
from detnas.store import Store, open_store
from tests.detnas.lifecycle.pretended_searches import ONE, Scheduler, delete, entries, reread, tiny


def test_there_must_be_one_such_search(store: Store, scheduler: Scheduler) -> None:
    two = tiny(store, "two", ONE)
    with pytest.raises(BlockedError, match="no search of that name") as missing:
        scheduler.run(two)
    assert missing.value.reason == "WarmStartMissing"
    first, second = tiny(store, "one", trials=1), tiny(store, "one", trials=1, seed=7)
    scheduler.run(first)
    with pytest.raises(BlockedError, match="2 searches had that name") as ambiguous:
        scheduler.run(two)
    assert ambiguous.value.reason == "WarmStartAmbiguous"
    assert first.uri in str(ambiguous.value)
    assert second.uri in str(ambiguous.value)
    named = tiny(store, "three", {"warmStart": {"from": first.uri}}, trials=1)
    assert scheduler.run(named).history.summary.inherited == 1


def test_the_search_that_has_the_name_now_is_meant(store: Store, scheduler: Scheduler) -> None:
    old, new = tiny(store, "one", trials=1), tiny(store, "one", trials=1, seed=7)
    scheduler.run(old)
    scheduler.run(new)
    two = tiny(store, "two", ONE)
    scheduler.prepare(two)
    reader = SearchReader(store, two.requests)
    reader.read()
    uid = new.requests.search.rpartition("-")[2]
    SuppliedInputs(two, {"one": f"{uid}-and-more"}.get).settle(reader)
    scheduler.run(two)
    stored = store.get(f"{two.requests.search}/inherited/result.json")
    assert stored is not None
    assert new.uri.encode() in stored.data


def test_a_search_of_another_store_is_copied_whole(
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


def test_a_chain_of_warm_starts_keeps_every_trial(store: Store, scheduler: Scheduler) -> None:
    scheduler.run(tiny(store, "one", trials=3))
    scheduler.run(tiny(store, "two", ONE, trials=3))
    three = tiny(store, "three", {"warmStart": {"from": "two"}}, trials=3)
    state = scheduler.run(three)
    found = entries(three, state)
    assert [entry.inherited for entry in found] == [True] * 6 + [False] * 3
    assert state.trials == 3
