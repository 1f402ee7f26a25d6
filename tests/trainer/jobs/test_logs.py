"""What an attempt leaves for people: its log's end, and a termination message."""

import logging

import pytest

from detnas.records.requests import BaseRequest
from detnas.store.directory import DirectoryStore
from detnas.store.errors import StoreUnavailable
from detnas_trainer import jobs
from detnas_trainer.jobs.logs import LogTail
from detnas_trainer.jobs.termination_message import shortened
from tests.trainer.conftest import Workplace, stopping, training

KEY = "local/a/base"


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETNAS_KEEP_LOG", "1")


@pytest.fixture
def invalid(workplace: Workplace) -> BaseRequest:
    """A request whose job ends at once: 0 epochs and no weights."""
    return workplace.base_request(KEY, training=training(0))


def _log(workplace: Workplace, attempt: int = 1) -> str:
    stored = workplace.store.get(f"{KEY}/attempts/{attempt}/log.txt")
    return stored.data.decode() if stored else ""


@pytest.mark.usefixtures("kept")
def test_log_is_stored_with_every_attempt_however_it_ends(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a bug")

    request = workplace.base_request(KEY, training=training(1))
    with stopping():
        assert workplace.run(request) == 75
    assert "interrupted; started again, this job resumes" in _log(workplace, 1)
    with monkeypatch.context() as patch:
        patch.setattr(DirectoryStore, "upload_file", broken)
        assert workplace.run(request) == 1
    assert "Traceback" in _log(workplace, 2)
    assert "KeyError: 'a bug'" in _log(workplace, 2)
    assert workplace.run(request) == 0
    lines = _log(workplace, 3).splitlines()
    assert "base: attempt 3" in lines[0]
    assert "mAP" in "".join(lines)
    assert "Succeeded" in lines[-1]


@pytest.mark.usefixtures("kept")
def test_failure_of_a_candidate_is_in_its_log(workplace: Workplace, invalid: BaseRequest) -> None:
    assert workplace.run(invalid) == 0
    assert "training.epochs is 0" in _log(workplace)


def test_log_is_not_stored_unless_requested(workplace: Workplace, invalid: BaseRequest) -> None:
    assert workplace.run(invalid) == 0
    assert _log(workplace) == ""


@pytest.mark.usefixtures("kept")
def test_log_that_cannot_be_stored_changes_no_exit_code(
    workplace: Workplace,
    invalid: BaseRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put = DirectoryStore.put

    def refusing(store: DirectoryStore, key: str, data: bytes) -> None:
        if key.endswith("log.txt"):
            raise StoreUnavailable("the store is away")
        put(store, key, data)

    monkeypatch.setattr(DirectoryStore, "put", refusing)
    assert workplace.run(invalid) == 0
    assert "log not kept: the store is away" in capsys.readouterr().err


def test_progress_is_stored_before_the_first_step(
    workplace: Workplace, invalid: BaseRequest
) -> None:
    assert workplace.run(invalid) == 0
    found = workplace.progress(KEY)
    assert (found.activity, found.total, found.heartbeat) == ("starting", 0, 10)


def test_log_tail_keeps_the_end_of_a_long_log() -> None:
    tail = LogTail(limit=200)
    for number in range(100):
        tail.handle(logging.makeLogRecord({"msg": f"line {number} é", "levelno": logging.INFO}))
    text = tail.text().decode()
    assert text.endswith("line 99 é\n")
    assert 100 < len(tail.text()) <= 200
    tail.handle(logging.makeLogRecord({"msg": "x" * 1000}))
    assert len(tail.text()) == 200


@pytest.mark.parametrize(
    ("epochs", "message"),
    [(1, "Succeeded"), (0, "Invalid: training.epochs is 0 and there are no weights")],
)
def test_termination_message_states_how_the_job_ended(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, epochs: int, message: str
) -> None:
    file = workplace.root / "termination-log"
    monkeypatch.setenv("DETNAS_TERMINATION_LOG", str(file))
    uri = workplace.put(workplace.base_request(KEY, training=training(epochs)))
    assert jobs.run("base", uri) == 0
    assert file.read_text().startswith(message)
    assert jobs.run("base", uri) == 0
    assert "the result was there already" in file.read_text()
    assert jobs.run("prepare", uri) == 2
    assert "asks for Base, not for Prepare" in file.read_text()


def test_termination_message_that_cannot_be_written_changes_no_exit_code(
    workplace: Workplace,
    invalid: BaseRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DETNAS_TERMINATION_LOG", str(workplace.root / "absent" / "file"))
    assert workplace.run(invalid) == 0
    assert "DETNAS_TERMINATION_LOG: " in capsys.readouterr().err


def test_long_termination_message_is_cut_between_characters() -> None:
    assert shortened("short") == b"short"
    data = shortened("é" * 4000)
    assert len(data) <= 4096
    assert data.decode().endswith("é…")
