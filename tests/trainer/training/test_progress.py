import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from detnas.records.progress import Progress
from detnas.store import Store, open_store
from detnas.store.artifacts import load_record
from detnas.store.errors import StoreFull
from detnas_trainer.training.progress import ProgressReporter, describe

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


def test_a_full_store_does_not_stop_the_work(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(key: str, data: bytes) -> None:
        raise StoreFull("no space left")

    monkeypatch.setattr(store, "put", full)
    monkeypatch.setattr(logging.getLogger("detnas_trainer"), "propagate", True)
    ProgressReporter(store, "p.json", lambda: 0.0).report(_progress(1))
    assert "no space left" in caplog.text


def test_a_line_says_where_the_job_is() -> None:
    progress = Progress(
        activity="training", done=20, total=60, epoch=1, epochs=3, loss=0.51234,
        seconds_left=12.4, updated=NOW,
    )  # fmt: skip
    assert describe(progress, learning_rate="0.01") == (
        "training  epoch 1/3  20/60  loss 0.5123  learning rate 0.01  12 s left"
    )
