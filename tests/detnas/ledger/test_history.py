"""A search's trials in the store: whatever was written before a crash is read again."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from detnas.ledger import History, LedgerEntry, Summary, load_history, read_entries, write_segments
from detnas.ledger.history import Loading, read_trial
from detnas.ledger.segments import SEGMENT
from detnas.records import keys
from detnas.records.proposal import Proposal
from detnas.search import SearchEnd, propose
from detnas.spec.search import Search
from detnas.store import Store, StoredObject, open_store
from detnas.store.artifacts import create_record
from detnas.store.errors import CorruptRecord, StoreUnavailable
from detnas.store.in_parallel import CONCURRENT_REQUESTS
from tests.detnas.ledger.stored_trials import (
    FOLDER,
    finish,
    load,
    request_of,
    result_number,
    start,
    write_trials,
)
from tests.detnas.memory_store import Died, DyingStore, MemoryStore
from tests.detnas.trials import BASE, SPACE, proposal, summary_of


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def test_load_history_is_empty_before_the_first_trial(store: MemoryStore) -> None:
    assert load(store) == History(Summary(top_k=5))
    assert list(read_entries(store, FOLDER, BASE)) == []


def test_load_history_counts_requests_without_results_as_in_flight(store: MemoryStore) -> None:
    write_trials(store, 9, running=(4, 8))
    history = load(store)
    assert history.in_flight == tuple(proposal(i, parent=i - 1) for i in (4, 8))
    assert sorted(history.unsegmented) == [0, 1, 2, 3, 5, 6, 7]
    assert history.summary == summary_of(list(read_entries(store, FOLDER, BASE)))
    assert (history.summary.finished_count, history.segments) == (7, frozenset())


def test_load_history_equals_the_history_of_the_live_process(store: MemoryStore) -> None:
    live = History(Summary(top_k=5))
    for index in range(6):
        live = live.with_request(proposal(index, parent=index - 1 if index else None))
    write_trials(store, 6, running=(1, 4))
    for index in (5, 0, 3, 2):
        found = read_trial(store, FOLDER, BASE, index)
        assert found is not None
        assert not isinstance(found, Proposal)
        live = live.with_entry(found)
    assert load(store) == live


def test_write_segments_writes_full_hundreds_which_are_read_from_them(store: MemoryStore) -> None:
    write_trials(store, 203, running=(201,))
    before = load(store)
    entries = list(read_entries(store, FOLDER, BASE))
    packed = write_segments(store, FOLDER, before)
    assert (packed.segments, sorted(packed.unsegmented)) == (frozenset({0, 1}), [200, 202])
    for index in range(200):
        folder = keys.trial_folder(FOLDER, index)
        store.delete(keys.result_key(folder))
        store.delete(keys.request_key(folder))
    assert load(store) == packed
    assert list(read_entries(store, FOLDER, BASE)) == entries
    assert packed.summary == before.summary


def test_write_segments_waits_for_a_trial_in_flight(store: MemoryStore) -> None:
    write_trials(store, 150, running=(30,))
    history = write_segments(store, FOLDER, load(store))
    assert (history.segments, len(history.unsegmented)) == (frozenset(), 149)
    finish(store, 30, result_number(30))
    history = write_segments(store, FOLDER, load(store))
    assert (history.segments, len(history.unsegmented)) == (frozenset({0}), 50)


def test_a_trial_that_does_not_finish_holds_back_its_own_segment_only(store: MemoryStore) -> None:
    """Otherwise the snapshot would have all that finish meanwhile."""
    start(store, proposal(0))
    history = load(store)
    largest = 0
    for index in range(1, 420):
        start(store, proposal(index, parent=index - 1 if index > 1 else None))
        finish(store, index, result_number(index))
        entry = read_trial(store, FOLDER, BASE, index)
        assert isinstance(entry, LedgerEntry)
        history = write_segments(store, FOLDER, history.with_entry(entry))
        if index == 99:
            largest = len(store.objects[keys.ledger_snapshot(FOLDER)])
    assert history.segments == {1, 2, 3}
    assert sorted(history.unsegmented) == [*range(1, 100), *range(400, 420)]
    assert len(store.objects[keys.ledger_snapshot(FOLDER)]) < 1.5 * largest
    history = replace(history, in_flight=(proposal(0),))
    assert replace(load(store), in_snapshot=history.in_snapshot) == history
    store.delete(keys.ledger_snapshot(FOLDER))
    assert replace(load(store), in_snapshot=history.in_snapshot) == history, (
        "segments and trials give it too"
    )
    indices = [entry.index for entry in read_entries(store, FOLDER, BASE)]
    assert indices == list(range(1, 420))
    finish(store, 0, result_number(0))
    history = write_segments(store, FOLDER, load(store))
    assert (history.segments, len(history.unsegmented)) == (frozenset({0, 1, 2, 3}), 20)
    assert (
        load(store).summary
        == history.summary
        == summary_of(list(read_entries(store, FOLDER, BASE)))
    )


def test_load_history_continues_after_an_interrupted_call(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_trials(store, 3 * SEGMENT + 5, running=(7,))
    write_segments(store, FOLDER, load(store))
    store.delete(keys.ledger_snapshot(FOLDER))
    whole, read, get = load(store), 0, store.get

    def cut(key: str) -> StoredObject | None:
        nonlocal read
        read += "/ledger/" in key
        if read > 3:
            raise StoreUnavailable("the pass has had its time")
        return get(key)

    monkeypatch.setattr(store, "get", cut)
    loading = Loading()
    with pytest.raises(StoreUnavailable):
        load_history(store, FOLDER, BASE, 5, loading=loading)
    read = 0
    assert load_history(store, FOLDER, BASE, 5, loading=loading) == whole
    assert loading.history is None


def test_load_history_refuses_a_segment_under_another_number(store: MemoryStore) -> None:
    write_trials(store, SEGMENT)
    write_segments(store, FOLDER, load(store))
    first = store.objects[keys.ledger_segment(FOLDER, 0)]
    store.delete(keys.ledger_snapshot(FOLDER))
    store.put(keys.ledger_segment(FOLDER, 1), first)
    with pytest.raises(CorruptRecord, match="0001.json is segment 0"):
        load(store)


def test_write_segments_twice_gives_the_same_history(store: MemoryStore) -> None:
    write_trials(store, 100)
    history = load(store)
    assert write_segments(store, FOLDER, history) == write_segments(store, FOLDER, history)


def _drive(store: Store, trials: int) -> None:
    """A search in one process, trial by trial, from wherever the store says it is."""
    search = Search(trials=trials, patience=1000)
    history = load(store)
    while True:
        history = write_segments(store, FOLDER, history)
        if not history.in_flight:
            found = propose(search, SPACE, BASE, history.summary, ())
            if isinstance(found, SearchEnd):
                return
            start(store, found)
            history = history.with_request(found)
        (running,) = history.in_flight
        finish(store, running.index, result_number(running.index))
        entry = read_trial(store, FOLDER, BASE, running.index)
        assert isinstance(entry, LedgerEntry)
        history = history.with_entry(entry)


@pytest.mark.parametrize("writes", [1, 2, 3, 8])
def test_a_search_that_dies_at_any_write_equals_one_that_never_died(writes: int) -> None:
    store, steady = MemoryStore(), MemoryStore()
    _drive(steady, 104)
    _drive(store, 96)
    deaths = 0
    while True:
        try:
            _drive(DyingStore(store, writes), 104)
        except Died:
            deaths += 1
        else:
            break
    # Eight trials of two writes each, and a segment; none dies after the last.
    assert deaths == 16 // writes
    assert store.objects == steady.objects
    assert load(store).segments == {0}


def test_load_history_reads_a_directory_store(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    write_trials(store, 3, running=(1,))
    history = load(store)
    assert [one.index for one in history.in_flight] == [1]
    assert history.summary.finished_count == 2


def test_load_history_names_a_corrupt_record(store: MemoryStore) -> None:
    start(store, proposal(0))
    store.put(keys.result_key(keys.trial_folder(FOLDER, 0)), b'{"kind": "Detector"}')
    with pytest.raises(CorruptRecord, match=r"trials/0000/result\.json is no DetectorResult"):
        load(store)


def test_load_history_refuses_a_request_of_another_trial(store: MemoryStore) -> None:
    moved = request_of(proposal(5))
    create_record(store, keys.request_key(keys.trial_folder(FOLDER, 0)), moved)
    with pytest.raises(CorruptRecord, match="is not the request of trial 0"):
        load(store)


class CountingStore(MemoryStore):
    """Counts what is read, and how much of it at the same time."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        super().__init__()
        self.objects = objects
        self.read: list[str] = []
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def get(self, key: str) -> StoredObject | None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            self.read.append(key)
        time.sleep(0.002)
        with self._lock:
            self._now -= 1
        return super().get(key)


@pytest.mark.parametrize(("trials", "most"), [(3, 1), (5, 1), (150, CONCURRENT_REQUESTS)])
def test_load_history_reads_many_trials_concurrently_and_few_one_by_one(
    trials: int, most: int
) -> None:
    store = MemoryStore()
    for index in range(trials):
        create_record(
            store, keys.request_key(keys.trial_folder(FOLDER, index)), request_of(proposal(index))
        )
    counting = CountingStore(store.objects)
    history = load_history(counting, FOLDER, BASE, 5)
    assert [trial.index for trial in history.in_flight] == list(range(trials))
    assert counting.most <= most
    requests = [key for key in counting.read if key.endswith("request.json")]
    if most == 1:
        assert len(requests) == trials + 1
    else:
        assert counting.most > most / 2
        assert len(requests) <= trials + CONCURRENT_REQUESTS
