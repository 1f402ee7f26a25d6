"""What running jobs write is read beside the passes, in parallel and spread over time."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from detnas.records import keys
from detnas.records.progress import Progress
from detnas.store import Store, open_store
from detnas.store.artifacts import put_record
from detnas.store.errors import StoreUnavailable
from detnas_operator.cluster.searches import SearchKey
from detnas_operator.lookups.progress_reader import ProgressReader
from tests.cluster.waiting import eventually

KEY = SearchKey("team-a", "one")
FOLDERS = [f"team-a/searches/one/trials/{number:04}" for number in range(40)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path.as_uri())


def say(store: Store, folder: str, done: int) -> None:
    progress = Progress(activity="training", done=done, total=9, updated=datetime.now(UTC))
    put_record(store, f"{keys.attempt_folder(folder, 1)}/progress.json", progress)


def done_of(reader: ProgressReader) -> int | None:
    """Steps that the first job has told of."""
    heard = reader.readings(KEY).get(FOLDERS[0])
    progress = heard.attempts.progress if heard is not None else None
    return progress.done if progress is not None else None


def test_progress_reader_reads_repeatedly(store: Store) -> None:
    reader = ProgressReader(0.2)
    say(store, FOLDERS[0], 1)
    reader.follow(KEY, store, FOLDERS[:1])
    eventually(lambda: done_of(reader) == 1)
    say(store, FOLDERS[0], 2)
    eventually(lambda: done_of(reader) == 2)
    assert not reader.readings(KEY)[FOLDERS[0]].attempts.has_result
    store.put(keys.result_key(FOLDERS[0]), b"{}")
    eventually(lambda: reader.readings(KEY)[FOLDERS[0]].attempts.has_result)


def test_progress_reader_forgets_jobs_that_no_longer_run(store: Store) -> None:
    reader = ProgressReader(0.1)
    for folder in FOLDERS[:2]:
        say(store, folder, 1)
    reader.follow(KEY, store, FOLDERS[:2])
    eventually(lambda: len(reader.readings(KEY)) == 2)
    reader.follow(KEY, store, FOLDERS[1:2])
    assert set(reader.readings(KEY)) == {FOLDERS[1]}
    reader.forget(KEY)
    assert not reader.readings(KEY)


class SlowStore:
    """A store whose every list takes a while; counts those under way."""

    def __init__(self, seconds: float) -> None:
        self.most = 0
        self.times: list[float] = []
        self._seconds, self._now, self._lock = seconds, 0, threading.Lock()

    def list(self, prefix: str) -> Iterator[str]:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            self.times.append(time.monotonic())
        time.sleep(self._seconds)
        with self._lock:
            self._now -= 1
        return iter(())


def test_progress_reader_reads_a_slow_store_in_parallel() -> None:
    store, reader = SlowStore(0.2), ProgressReader(60)
    started = time.monotonic()
    reader.follow(KEY, store, FOLDERS)  # type: ignore[arg-type]
    assert not reader.readings(KEY)
    assert time.monotonic() - started < 0.2
    eventually(lambda: len(reader.readings(KEY)) == len(FOLDERS))
    assert time.monotonic() - started < 0.2 * len(FOLDERS) / 2
    assert 4 <= store.most <= 8


def test_progress_reader_spreads_its_reads() -> None:
    store, reader = SlowStore(0.0), ProgressReader(2.0)
    reader.follow(KEY, store, FOLDERS)  # type: ignore[arg-type]
    eventually(lambda: len(store.times) >= 4 * len(FOLDERS), 30)
    later = sorted(store.times)[3 * len(FOLDERS) : 4 * len(FOLDERS)]
    assert later[-1] - later[0] > 0.5


def test_progress_reader_keeps_the_last_reading_of_a_failing_store(
    store: Store, tmp_path: Path
) -> None:
    class Failing(SlowStore):
        def list(self, prefix: str) -> Iterator[str]:
            self.times.append(time.monotonic())
            raise StoreUnavailable("the store is away")

    reader, failing = ProgressReader(0.1), Failing(0.0)
    say(store, FOLDERS[0], 1)
    reader.follow(KEY, store, FOLDERS[:1])
    eventually(lambda: reader.readings(KEY))
    reader.follow(KEY, failing, FOLDERS[:1])  # type: ignore[arg-type]
    eventually(lambda: len(failing.times) >= 3)
    heard = reader.readings(KEY)[FOLDERS[0]]
    assert heard.attempts.progress is not None
    assert heard.read < failing.times[1]


def test_progress_reader_requests_a_pass_once_all_are_read_and_at_a_result(store: Store) -> None:
    asked: list[SearchKey] = []
    reader = ProgressReader(0.2, asked.append)
    for folder in FOLDERS:
        say(store, folder, 1)
    reader.follow(KEY, store, FOLDERS)
    eventually(lambda: asked)
    assert len(reader.readings(KEY)) == len(FOLDERS)
    time.sleep(0.5)
    say(store, FOLDERS[0], 2)  # only progress
    time.sleep(0.5)
    before = len(asked)
    assert before <= 8
    time.sleep(0.5)
    assert len(asked) == before
    store.put(keys.result_key(FOLDERS[7]), b"{}")
    eventually(lambda: len(asked) == before + 1)
