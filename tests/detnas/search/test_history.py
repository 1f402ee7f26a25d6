"""A search's trials in the store: whatever was written before a death is found again."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from detnas.ledger import History, LedgerEntry, Summary, load_history, read_entries, write_segments
from detnas.ledger.history import Loading, read_trial
from detnas.ledger.segments import SEGMENT, Segment, pack
from detnas.records import keys
from detnas.records.proposal import Proposal
from detnas.records.requests import StudentRequest
from detnas.records.results import DetectorResult, Outcome
from detnas.records.settings import DataLocation, Training
from detnas.search import Finished, propose
from detnas.spec.search import Search
from detnas.store import Store, StoredObject, open_store
from detnas.store.artifacts import create_record
from detnas.store.errors import CorruptRecord, StoreUnavailable
from detnas.store.in_parallel import AT_A_TIME
from tests.detnas.memory_store import Died, DyingStore, MemoryStore
from tests.detnas.trials import (
    ARCHITECTURE,
    BASE,
    LARGE,
    SMALL,
    SPACE,
    failure,
    folded,
    proposal,
    result,
    succeeded,
)

FOLDER = "local/searches/test-12345678"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def _request(proposed: Proposal) -> StudentRequest:
    weights = result(0).weights
    return StudentRequest.model_validate(
        {
            "key": keys.trial_folder(FOLDER, proposed.index),
            "seed": proposed.seed,
            "data": DataLocation(root="data", train="train.json", val="val.json"),
            "classes": ("one", "two", "three"),
            "detector": BASE.detector,
            "resolutions": (SMALL, LARGE),
            "training": Training.model_validate(
                {"epochs": 1, "learning_rate": "0.01", "batch_size": 4}
            ),
            "trial": proposed,
            "parent": ARCHITECTURE,
            "parent_weights": weights,
            "teacher": proposed.teacher,
        }
    )


def _start(store: Store, proposed: Proposal) -> None:
    folder = keys.trial_folder(FOLDER, proposed.index)
    create_record(store, keys.request_key(folder), _request(proposed))


def _finish(store: Store, index: int, found: DetectorResult) -> None:
    create_record(store, keys.result_key(keys.trial_folder(FOLDER, index)), found)


def _found(index: int) -> DetectorResult:
    if index % 7 == 3:
        return failure(index, Outcome.DIVERGED)
    return result(index, (0.2, 0.3 + (index * 37 % 100) / 500))


def _store_with(store: Store, trials: int, running: tuple[int, ...] = ()) -> None:
    for index in range(trials):
        _start(store, proposal(index, parent=index - 1 if index else None))
        if index not in running:
            _finish(store, index, _found(index))


def _load(store: Store) -> History:
    return load_history(store, FOLDER, BASE, top_k=5)


def test_nothing_is_the_start_of_a_search(store: MemoryStore) -> None:
    assert _load(store) == History(Summary(5))
    assert list(read_entries(store, FOLDER, BASE)) == []


def test_requests_without_results_are_in_flight(store: MemoryStore) -> None:
    _store_with(store, 9, running=(4, 8))
    history = _load(store)
    assert history.in_flight == tuple(proposal(i, parent=i - 1) for i in (4, 8))
    assert sorted(history.loose) == [0, 1, 2, 3, 5, 6, 7]
    assert history.summary == folded(list(read_entries(store, FOLDER, BASE)))
    assert (history.summary.finished, history.segments) == (7, 0)


def test_what_is_read_is_what_the_live_process_had(store: MemoryStore) -> None:
    live = History(Summary(5))
    for index in range(6):
        live = live.started(proposal(index, parent=index - 1 if index else None))
    _store_with(store, 6, running=(1, 4))
    for index in (5, 0, 3, 2):
        found = read_trial(store, FOLDER, BASE, index)
        assert found is not None
        assert not isinstance(found, Proposal)
        live = live.finished(found)
    assert _load(store) == live


def test_a_full_hundred_becomes_a_segment_and_is_read_from_it(store: MemoryStore) -> None:
    _store_with(store, 203, running=(201,))
    before = _load(store)
    entries = list(read_entries(store, FOLDER, BASE))
    packed = write_segments(store, FOLDER, before)
    assert (packed.segments, sorted(packed.loose)) == (2, [200, 202])
    for index in range(200):
        folder = keys.trial_folder(FOLDER, index)
        store.delete(keys.result_key(folder))
        store.delete(keys.request_key(folder))
    assert _load(store) == packed
    assert list(read_entries(store, FOLDER, BASE)) == entries
    assert packed.summary == before.summary


def test_a_hundred_with_one_in_flight_is_no_segment_yet(store: MemoryStore) -> None:
    _store_with(store, 150, running=(30,))
    history = write_segments(store, FOLDER, _load(store))
    assert (history.segments, len(history.loose)) == (0, 149)
    _finish(store, 30, _found(30))
    history = write_segments(store, FOLDER, _load(store))
    assert (history.segments, len(history.loose)) == (1, 50)


def test_a_trial_that_does_not_end_keeps_back_its_own_hundred_only(store: MemoryStore) -> None:
    """Otherwise all that end meanwhile are written folded again and again."""
    _start(store, proposal(0))
    history = _load(store)
    largest = 0
    for index in range(1, 420):
        _start(store, proposal(index, parent=index - 1 if index > 1 else None))
        _finish(store, index, _found(index))
        entry = read_trial(store, FOLDER, BASE, index)
        assert isinstance(entry, LedgerEntry)
        history = write_segments(store, FOLDER, history.finished(entry))
        if index == 99:
            largest = len(store.objects[keys.folded_ledger(FOLDER)])
    assert (history.segments, history.later) == (0, frozenset({1, 2, 3}))
    assert sorted(history.loose) == [*range(1, 100), *range(400, 420)]
    assert len(store.objects[keys.folded_ledger(FOLDER)]) < 1.5 * largest
    history = replace(history, in_flight=(proposal(0),))
    assert replace(_load(store), folded=history.folded) == history
    store.delete(keys.folded_ledger(FOLDER))
    assert replace(_load(store), folded=history.folded) == history, "segments and trials say it too"
    indices = [entry.index for entry in read_entries(store, FOLDER, BASE)]
    assert indices == list(range(1, 420))
    _finish(store, 0, _found(0))
    history = write_segments(store, FOLDER, _load(store))
    assert (history.segments, history.later, len(history.loose)) == (4, frozenset(), 20)
    assert (
        _load(store).summary == history.summary == folded(list(read_entries(store, FOLDER, BASE)))
    )


def test_a_start_that_is_cut_goes_on_where_it_was(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _store_with(store, 3 * SEGMENT + 5, running=(7,))
    write_segments(store, FOLDER, _load(store))
    store.delete(keys.folded_ledger(FOLDER))
    whole, read, get = _load(store), 0, store.get

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


def test_a_long_ledger_is_written_folded_less_often(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written grows with the trials, and so do the pauses."""
    written: list[int] = []
    monkeypatch.setattr(
        "detnas.ledger.history.write_snapshot", lambda *one: written.append(one[2].summary.known)
    )
    history = History(Summary(5))
    for known in (100, 101, 106, 2000, 2009, 2010):
        summary = replace(history.summary, next_index=known)
        history = write_segments(store, FOLDER, replace(history, summary=summary))
    assert written == [100, 106, 2000, 2010]


def test_a_segment_in_anothers_place_is_refused(store: MemoryStore) -> None:
    _store_with(store, SEGMENT)
    write_segments(store, FOLDER, _load(store))
    first = store.objects[keys.ledger_segment(FOLDER, 0)]
    store.delete(keys.folded_ledger(FOLDER))
    store.put(keys.ledger_segment(FOLDER, 1), first)
    with pytest.raises(CorruptRecord, match="0001.json is segment 0"):
        _load(store)


def test_writing_a_segment_again_is_no_harm(store: MemoryStore) -> None:
    _store_with(store, 100)
    history = _load(store)
    assert write_segments(store, FOLDER, history) == write_segments(store, FOLDER, history)


def _drive(store: Store, trials: int) -> None:
    """A search in one process, trial by trial, from wherever the store says it is."""
    search = Search(trials=trials, patience=1000)
    history = _load(store)
    while True:
        history = write_segments(store, FOLDER, history)
        if not history.in_flight:
            found = propose(search, SPACE, BASE, history.summary, ())
            if isinstance(found, Finished):
                return
            _start(store, found)
            history = history.started(found)
        (running,) = history.in_flight
        _finish(store, running.index, _found(running.index))
        entry = read_trial(store, FOLDER, BASE, running.index)
        assert isinstance(entry, LedgerEntry)
        history = history.finished(entry)


@pytest.mark.parametrize("writes", [1, 2, 3, 8])
def test_dying_again_and_again_gives_the_search_that_never_died(writes: int) -> None:
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
    assert _load(store).segments == 1


def test_a_folder_serves(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    _store_with(store, 3, running=(1,))
    history = _load(store)
    assert [one.index for one in history.in_flight] == [1]
    assert history.summary.finished == 2


def test_a_record_that_is_not_what_it_should_be_is_named(store: MemoryStore) -> None:
    _start(store, proposal(0))
    store.put(keys.result_key(keys.trial_folder(FOLDER, 0)), b'{"kind": "Detector"}')
    with pytest.raises(CorruptRecord, match=r"trials/0000/result\.json is no DetectorResult"):
        _load(store)


def test_a_request_of_another_trial_is_refused(store: MemoryStore) -> None:
    moved = _request(proposal(5))
    create_record(store, keys.request_key(keys.trial_folder(FOLDER, 0)), moved)
    with pytest.raises(CorruptRecord, match="is not the request of trial 0"):
        _load(store)


@given(st.sets(st.sampled_from(range(SEGMENT)), max_size=3))
def test_only_a_whole_hundred_is_packed(missing: set[int]) -> None:
    entries = {i: ENTRY_OF[i] for i in range(150) if i not in missing}
    segment = pack(0, entries)
    assert (segment is None) == bool(missing)
    assert pack(1, entries) is None
    if segment:
        assert [entry.index for entry in segment.entries] == list(range(SEGMENT))
        assert Segment.model_validate_json(segment.model_dump_json(by_alias=True)) == segment


ENTRY_OF = {index: succeeded(proposal(index), 0.3, 0.4) for index in range(150)}


def test_a_segment_with_other_trials_is_refused() -> None:
    with pytest.raises(ValidationError, match="entries of segment 1 are not the trials 100 to 199"):
        Segment(number=1, entries=tuple(ENTRY_OF[index] for index in range(100)))


def test_a_folded_ledger_says_what_its_segments_say(store: MemoryStore) -> None:
    """A restart reads the summary, and none of the segments and trials that it sums up."""
    _store_with(store, 3 * SEGMENT + 7)
    write_segments(store, FOLDER, _load(store))
    whole = _load(store)
    summary = keys.folded_ledger(FOLDER)
    data = store.objects.pop(summary)
    assert replace(_load(store), folded=whole.folded) == whole, "segments and trials say it too"
    store.objects[summary] = data
    for number in range(3):
        store.delete(keys.ledger_segment(FOLDER, number))
    for index in range(3 * SEGMENT + 7):
        store.delete(keys.result_key(keys.trial_folder(FOLDER, index)))
    assert _load(store) == whole


def test_a_folded_ledger_that_can_not_be_read_counts_as_not_there(store: MemoryStore) -> None:
    _store_with(store, SEGMENT + 1)
    whole = write_segments(store, FOLDER, _load(store))
    store.objects[keys.folded_ledger(FOLDER)] = b'{"folding": 99}'
    assert _load(store).summary == whole.summary
    assert write_segments(store, FOLDER, _load(store)) == whole
    assert _load(store) == whole


@settings(max_examples=10)
@given(st.data())
def test_an_old_folded_ledger_is_made_up_for(data: st.DataObject) -> None:
    """A process may die, or write late, at any time: what it left is true, only not all."""
    store = MemoryStore()
    old: list[bytes | None] = [None]
    for index in range(SEGMENT + 8):
        _start(store, proposal(index, parent=index - 1 if index else None))
    live = _load(store)
    for index in data.draw(st.permutations(range(SEGMENT + 8))):
        _finish(store, index, _found(index))
        found = read_trial(store, FOLDER, BASE, index)
        assert isinstance(found, LedgerEntry)
        live = write_segments(store, FOLDER, live.finished(found))
        old.append(store.objects.get(keys.folded_ledger(FOLDER)))
    left = data.draw(st.sampled_from(old))
    store.delete(keys.folded_ledger(FOLDER))
    if left is not None:
        store.objects[keys.folded_ledger(FOLDER)] = left
    assert replace(_load(store), folded=live.folded) == live


def test_a_restart_reads_few_of_the_finished_trials(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _store_with(store, SEGMENT + 58)
    write_segments(store, FOLDER, _load(store))
    read, get = [], store.get

    def listed(key: str) -> StoredObject | None:
        read.append(key)
        return get(key)

    monkeypatch.setattr(store, "get", listed)
    _load(store)
    beyond = keys.request_key(keys.trial_folder(FOLDER, SEGMENT + 58))
    assert [key for key in read if "/trials/" in key] == [beyond]


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


@pytest.mark.parametrize(("trials", "most"), [(3, 1), (5, 1), (150, AT_A_TIME)])
def test_many_trials_are_read_at_a_time_and_few_not_one_too_many(trials: int, most: int) -> None:
    store = MemoryStore()
    for index in range(trials):
        create_record(
            store, keys.request_key(keys.trial_folder(FOLDER, index)), _request(proposal(index))
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
        assert len(requests) <= trials + AT_A_TIME
