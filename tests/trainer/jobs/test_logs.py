"""What an attempt leaves for people: its log's end, and one last line."""

import logging

import pytest

from detnas.records.progress import Progress
from detnas.store.artifacts import load_record
from detnas.store.directory import DirectoryStore
from detnas.store.errors import StoreUnavailable
from detnas_trainer import jobs
from detnas_trainer.jobs.logs import LogTail, shortened
from detnas_trainer.training.interruption import Interrupted, Interruption
from tests.trainer.conftest import Workplace, training

KEY = "local/a/base"


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETNAS_KEEP_LOG", "1")


def _log(workplace: Workplace, attempt: int = 1) -> str:
    stored = workplace.store.get(f"{KEY}/attempts/{attempt}/log.txt")
    return stored.data.decode() if stored else ""


@pytest.mark.usefixtures("kept")
def test_an_attempts_log_lies_beside_its_files_however_it_ends(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Interruption) -> None:
        raise Interrupted

    uri = workplace.put(workplace.base_request(KEY, training=training(1)))
    with monkeypatch.context() as patch:
        patch.setattr(Interruption, "check", interrupted)
        patch.setenv("DETNAS_CHECKPOINT_SECONDS", "0")
        assert jobs.run("base", uri) == 75
    assert "interrupted; started again, this job resumes" in _log(workplace, 1)
    with monkeypatch.context() as patch:
        patch.setattr(DirectoryStore, "upload_file", _broken)
        assert jobs.run("base", uri) == 1
    assert "Traceback" in _log(workplace, 2)
    assert "KeyError: 'a bug'" in _log(workplace, 2)
    assert jobs.run("base", uri) == 0
    lines = _log(workplace, 3).splitlines()
    assert "base: attempt 3" in lines[0]
    assert "mAP" in "".join(lines)
    assert "Succeeded" in lines[-1]


def _broken(*_: object) -> None:
    raise KeyError("a bug")


@pytest.mark.usefixtures("kept")
def test_a_candidates_failure_is_in_its_log(workplace: Workplace) -> None:
    request = workplace.base_request(KEY, training=training(0))
    assert jobs.run("base", workplace.put(request)) == 0
    assert "training.epochs is 0" in _log(workplace)


def test_it_is_left_to_the_starter_unless_asked_for(workplace: Workplace) -> None:
    assert jobs.run("base", workplace.put(workplace.base_request(KEY, training=training(0)))) == 0
    assert _log(workplace) == ""


@pytest.mark.usefixtures("kept")
def test_a_log_that_can_not_be_kept_changes_nothing(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put = DirectoryStore.put

    def refusing(store: DirectoryStore, key: str, data: bytes) -> None:
        if key.endswith("log.txt"):
            raise StoreUnavailable("the store is away")
        put(store, key, data)

    monkeypatch.setattr(DirectoryStore, "put", refusing)
    assert jobs.run("base", workplace.put(workplace.base_request(KEY, training=training(0)))) == 0
    assert "log not kept: the store is away" in capsys.readouterr().err


def test_a_job_is_heard_of_before_it_has_done_any_step(workplace: Workplace) -> None:
    assert jobs.run("base", workplace.put(workplace.base_request(KEY, training=training(0)))) == 0
    said = load_record(workplace.store, f"{KEY}/attempts/1/progress.json", Progress)
    assert said is not None
    assert (said.activity, said.total, said.heartbeat) == ("starting", 0, 10)


def test_of_a_long_log_the_end_is_kept() -> None:
    tail = LogTail(limit=200)
    for number in range(100):
        tail.handle(logging.makeLogRecord({"msg": f"line {number} é", "levelno": logging.INFO}))
    text = tail.text().decode()
    assert text.endswith("line 99 é\n")
    assert 100 < len(tail.text()) <= 200
    tail.handle(logging.makeLogRecord({"msg": "x" * 1000}))
    assert len(tail.text()) == 200


@pytest.mark.parametrize(
    ("epochs", "code", "words"),
    [(1, 0, "Succeeded"), (0, 0, "Invalid: training.epochs is 0 and there are no weights")],
)
def test_the_last_line_says_how_it_ended(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, epochs: int, code: int, words: str
) -> None:
    file = workplace.root / "termination-log"
    monkeypatch.setenv("DETNAS_TERMINATION_LOG", str(file))
    uri = workplace.put(workplace.base_request(KEY, training=training(epochs)))
    assert jobs.run("base", uri) == code
    assert file.read_text().startswith(words)
    assert jobs.run("base", uri) == 0
    assert "the result was there already" in file.read_text()
    assert jobs.run("prepare", uri) == 2
    assert "asks for Base, not for Prepare" in file.read_text()


def test_a_last_line_that_can_not_be_written_changes_nothing(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DETNAS_TERMINATION_LOG", str(workplace.root / "absent" / "file"))
    assert jobs.run("base", workplace.put(workplace.base_request(KEY, training=training(0)))) == 0
    assert "DETNAS_TERMINATION_LOG: " in capsys.readouterr().err


def test_the_last_line_fits_and_cuts_no_character() -> None:
    assert shortened("short") == b"short"
    data = shortened("é" * 4000)
    assert len(data) <= 4096
    assert data.decode().endswith("é…")
