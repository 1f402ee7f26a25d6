import json
import multiprocessing
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from detnas.errors import UserError
from detnas.records.results import Attempt, Outcome, PrepareResult
from detnas.store import open_store
from detnas.store.artifacts import create_record
from detnas_trainer.jobs.folder import RequestError, open_folder, scratch_folder
from tests.stored import content
from tests.trainer.conftest import Workplace

KEY = "local/searches/a b-1/prepare"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def uri(workplace: Workplace) -> str:
    return workplace.put(workplace.prepare_request(KEY))


def test_open_folder_takes_the_uri_less_the_key_as_the_root(workplace: Workplace, uri: str) -> None:
    for written in (uri, f"{uri}/"):
        folder = open_folder("prepare", written)
        assert folder.key == KEY
        assert folder.store.uri == workplace.store.uri


def test_open_folder_refuses_another_verb_and_names_the_right_one(uri: str) -> None:
    with pytest.raises(RequestError, match="asks for Prepare, not for Base; .*prepare file:"):
        open_folder("base", uri)
    with pytest.raises(RequestError, match="verb 'bake' is unknown"):
        open_folder("bake", uri)


def test_open_folder_refuses_a_folder_without_a_request(workplace: Workplace) -> None:
    with pytest.raises(RequestError, match=r"elsewhere holds no request\.json"):
        open_folder("base", f"{workplace.store.uri}/elsewhere")


@pytest.mark.parametrize("uri", ["relative/folder", "ftp://host/x", "file:///a/../b", ""])
def test_open_folder_refuses_what_is_no_uri(uri: str) -> None:
    with pytest.raises(UserError):
        open_folder("base", uri)


def test_open_folder_refuses_a_moved_request(workplace: Workplace, uri: str) -> None:
    workplace.store.put("moved/request.json", content(workplace.store, f"{KEY}/request.json"))
    with pytest.raises(RequestError, match="which the URI does not end with"):
        open_folder("prepare", f"{workplace.store.uri}/moved")


@pytest.mark.parametrize(
    ("content", "named"),
    [(b"{", "Invalid JSON"), (b'{"kind": "Prepare"}', "key: Field required")],
)
def test_open_folder_refuses_a_request_that_cannot_be_read(
    tmp_path: Path, content: bytes, named: str
) -> None:
    open_store(tmp_path.as_uri()).put("job/request.json", content)
    with pytest.raises(RequestError, match=named):
        open_folder("prepare", f"{tmp_path.as_uri()}/job")


def test_open_folder_reads_a_later_minor_format(workplace: Workplace, uri: str) -> None:
    asked = open_folder("prepare", uri).request
    state_format(workplace, "1.999", later="field")
    assert open_folder("prepare", uri).request == asked


def test_open_folder_refuses_a_later_major_format(workplace: Workplace, uri: str) -> None:
    state_format(workplace, "2.0")
    said = r"request\.json has format 2\.0; .*use the version of detnas that wrote it"
    with pytest.raises(RequestError, match=said):
        open_folder("prepare", uri)


def state_format(workplace: Workplace, stated: str, **fields: str) -> None:
    stored = json.loads(content(workplace.store, f"{KEY}/request.json"))
    changed = {**stored, "format": stated, **fields}
    workplace.store.put(f"{KEY}/request.json", json.dumps(changed).encode())


def test_attempts_are_numbered_from_1(workplace: Workplace, uri: str) -> None:
    folder = open_folder("prepare", uri)
    times = iter(NOW + timedelta(seconds=n) for n in range(10))
    first = folder.claim_attempt(0, lambda: next(times))
    second = folder.claim_attempt(7, lambda: next(times))
    assert (first.number, second.number, second.resumed_at) == (1, 2, 7)
    assert workplace.attempt(KEY, 2) == second


def test_attempts_started_at_once_get_different_numbers(
    workplace: Workplace, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = open_folder("prepare", uri)
    create_record(workplace.store, f"{KEY}/attempts/1/attempt.json", Attempt(number=1, started=NOW))
    monkeypatch.setattr(type(folder.store), "list", lambda *_: iter(()))  # it came just after
    assert folder.claim_attempt(0, lambda: NOW + timedelta(seconds=1)).number == 2


def test_outcome_of_a_finished_job_is_read(workplace: Workplace, uri: str) -> None:
    folder = open_folder("prepare", uri)
    assert folder.outcome() is None
    result = PrepareResult(outcome=Outcome.INVALID, started=NOW, finished=NOW)
    create_record(workplace.store, f"{KEY}/result.json", result)
    assert folder.outcome() is Outcome.INVALID


def test_scratch_folder_is_removed_with_its_owner(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as mine, scratch_folder(tmp_path) as other:
        assert mine != other
        (mine / "file").write_text("on its way")
    assert list(tmp_path.iterdir()) == []


def _die_inside(parent: Path) -> None:
    with scratch_folder(parent) as folder:
        (folder / "file").write_text("left behind")
        os.kill(os.getpid(), signal.SIGKILL)


def test_scratch_folder_of_a_killed_process_is_removed_and_a_live_ones_stays(
    tmp_path: Path,
) -> None:
    with scratch_folder(tmp_path) as mine:
        killed = multiprocessing.get_context("fork").Process(target=_die_inside, args=(tmp_path,))
        killed.start()
        killed.join()
        assert len(list(tmp_path.iterdir())) == 2
        with scratch_folder(tmp_path) as other:
            assert set(tmp_path.iterdir()) == {mine, other}
