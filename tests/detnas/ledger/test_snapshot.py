"""The snapshot of the summary: a cache that may be absent, old or another version's."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detnas.ledger import LedgerEntry, write_segments
from detnas.ledger.history import read_trial
from detnas.ledger.segments import SEGMENT
from detnas.ledger.snapshot import load_snapshot
from detnas.records import keys
from detnas.store import StoredObject
from tests.detnas.ledger.stored_trials import (
    FOLDER,
    finish,
    load,
    result_number,
    start,
    write_trials,
)
from tests.detnas.memory_store import MemoryStore
from tests.detnas.trials import BASE, proposal


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def test_snapshot_equals_the_segments_and_trials_it_summarizes(store: MemoryStore) -> None:
    """A restart reads the summary, and none of the segments and trials that it sums up."""
    write_trials(store, 3 * SEGMENT + 7)
    write_segments(store, FOLDER, load(store))
    expected = load(store)
    key = keys.ledger_snapshot(FOLDER)
    data = store.objects.pop(key)
    assert replace(load(store), in_snapshot=expected.in_snapshot) == expected, (
        "segments and trials give it too"
    )
    store.objects[key] = data
    for number in range(3):
        store.delete(keys.ledger_segment(FOLDER, number))
    for index in range(3 * SEGMENT + 7):
        store.delete(keys.result_key(keys.trial_folder(FOLDER, index)))
    assert load(store) == expected


def test_snapshot_of_another_version_counts_as_absent(store: MemoryStore) -> None:
    write_trials(store, SEGMENT + 1)
    expected = write_segments(store, FOLDER, load(store))
    store.objects[keys.ledger_snapshot(FOLDER)] = b'{"folding": 99}'
    assert load_snapshot(store, FOLDER, 5) is None
    assert load(store).summary == expected.summary
    assert write_segments(store, FOLDER, load(store)) == expected
    assert load(store) == expected


@settings(max_examples=10)
@given(st.data())
def test_load_history_completes_an_old_snapshot(data: st.DataObject) -> None:
    """A process may die, or write late, at any time: what it left is true, only not all."""
    store = MemoryStore()
    old: list[bytes | None] = [None]
    for index in range(SEGMENT + 8):
        start(store, proposal(index, parent=index - 1 if index else None))
    live = load(store)
    for index in data.draw(st.permutations(range(SEGMENT + 8))):
        finish(store, index, result_number(index))
        found = read_trial(store, FOLDER, BASE, index)
        assert isinstance(found, LedgerEntry)
        live = write_segments(store, FOLDER, live.with_entry(found))
        old.append(store.objects.get(keys.ledger_snapshot(FOLDER)))
    left = data.draw(st.sampled_from(old))
    store.delete(keys.ledger_snapshot(FOLDER))
    if left is not None:
        store.objects[keys.ledger_snapshot(FOLDER)] = left
    assert replace(load(store), in_snapshot=live.in_snapshot) == live


def test_load_history_after_a_snapshot_reads_no_finished_trial(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_trials(store, SEGMENT + 58)
    write_segments(store, FOLDER, load(store))
    read, get = [], store.get

    def listed(key: str) -> StoredObject | None:
        read.append(key)
        return get(key)

    monkeypatch.setattr(store, "get", listed)
    load(store)
    beyond = keys.request_key(keys.trial_folder(FOLDER, SEGMENT + 58))
    assert [key for key in read if "/trials/" in key] == [beyond]


def test_write_segments_writes_no_snapshot_that_no_reader_accepts(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detnas.ledger.snapshot.MAX_UNSEGMENTED_TRIALS", 7)
    write_trials(store, 8)
    write_segments(store, FOLDER, load(store))
    assert keys.ledger_snapshot(FOLDER) not in store.objects
