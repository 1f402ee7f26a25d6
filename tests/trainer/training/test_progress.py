import logging
import threading
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep

import pytest

from detnas.records.progress import Progress
from detnas.store import Store, open_store
from detnas.store.artifacts import load_record
from detnas.store.errors import StoreFull
from detnas_trainer.training.progress import HEARTBEAT_SECONDS, ProgressReporter, describe

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _progress(done: int) -> Progress:
    return Progress(activity="training", done=done, total=9, updated=NOW)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path.as_uri())


def test_progress_is_written_at_once_and_then_every_few_seconds(store: Store) -> None:
    time = [0.0]
    reporter = ProgressReporter(store, "p.json", lambda: time[0], interval=3.0)
    seen = []
    for done, seconds in enumerate([0.0, 1.0, 2.9, 3.0, 5.0, 6.1]):
        time[0] = seconds
        reporter.report(_progress(done))
        record = load_record(store, "p.json", Progress)
        seen.append(record and record.done)
    assert seen == [0, 0, 0, 3, 3, 5]


def test_full_store_does_not_stop_the_work(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(key: str, data: bytes) -> None:
        raise StoreFull("no space left")

    monkeypatch.setattr(store, "put", full)
    monkeypatch.setattr(logging.getLogger("detnas_trainer"), "propagate", True)
    ProgressReporter(store, "p.json", lambda: 0.0).report(_progress(1))
    assert "no space left" in caplog.text


def test_describe_gives_one_line_of_progress() -> None:
    said = Progress(
        activity="training", done=20, total=60, epoch=1, epochs=3, loss=0.51234,
        seconds_left=12.4, updated=NOW,
    )  # fmt: skip
    assert describe(said, learning_rate="0.01") == (
        "training  epoch 1/3  20/60  loss 0.5123  learning rate 0.01  12 s left"
    )


def test_heartbeat_repeats_what_was_reported_last(store: Store) -> None:
    time = [0.0]
    reporter = ProgressReporter(store, "p.json", lambda: time[0])
    reporter.report(_progress(4))
    time[0] = 4.0
    reporter.beat()
    assert _stored(store).updated == NOW  # written a moment ago
    time[0] = 9.0
    reporter.beat()
    found = _stored(store)
    assert (found.activity, found.done, found.heartbeat) == ("training", 4, HEARTBEAT_SECONDS)
    assert found.updated > NOW


def test_heartbeat_names_a_phase_without_steps(store: Store) -> None:
    time, activity = [0.0], ["starting"]
    reporter = ProgressReporter(store, "p.json", lambda: time[0], activity=lambda: activity[0])
    reporter.beat()
    assert _stored(store).activity == "starting"
    activity[0] = "training"
    reporter.report(_progress(9).model_copy(update={"seconds_left": 60.0}))
    activity[0], time[0] = "publishing", 10.0
    reporter.beat()
    found = _stored(store)
    assert (found.activity, found.done, found.total, found.seconds_left) == ("publishing", 0, 0, 60)


def test_heartbeat_continues_without_reports(store: Store) -> None:
    reporter = ProgressReporter(store, "p.json", monotonic, pause=0.05)
    with reporter.heartbeat():
        seen = {_stored(store).updated}
        until = monotonic() + 20
        while len(seen) < 3 and monotonic() < until:
            sleep(0.02)
            seen.add(_stored(store).updated)
    assert len(seen) == 3
    last = _stored(store).updated
    sleep(0.3)
    assert _stored(store).updated == last


def test_report_does_not_wait_for_a_heartbeat_blocked_by_the_store(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, goes_on = threading.Event(), threading.Event()
    put = store.put

    def slow(key: str, data: bytes) -> None:
        hangs.set()
        assert goes_on.wait(20)
        put(key, data)

    monkeypatch.setattr(store, "put", slow)
    reporter = ProgressReporter(store, "p.json", monotonic)
    thread = threading.Thread(target=reporter.beat)
    thread.start()
    assert hangs.wait(20)
    reporter.report(_progress(1))  # returns
    goes_on.set()
    thread.join(20)
    assert _stored(store).activity == "starting"


def _stored(store: Store) -> Progress:
    record = load_record(store, "p.json", Progress)
    assert record is not None
    return record
