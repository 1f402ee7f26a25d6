import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from detnas.errors import UserError
from detnas.records.requests import PrepareRequest
from detnas.records.results import Attempt, Outcome, PrepareResult
from detnas.store import open_store
from detnas.store.artifacts import create_record, load_record
from detnas_trainer.jobs.folder import RequestError, open_folder
from tests.trainer.conftest import Workplace

KEY = "local/searches/a b-1/prepare"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def uri(workplace: Workplace) -> str:
    request = PrepareRequest(
        key=KEY, data=workplace.common["data"], resolutions=workplace.common["resolutions"]
    )
    return workplace.put(request)


def test_the_root_is_the_uri_less_the_key(workplace: Workplace, uri: str) -> None:
    for written in (uri, f"{uri}/"):
        folder = open_folder("prepare", written)
        assert folder.key == KEY
        assert folder.store.uri == workplace.store.uri


def test_another_verb_is_refused_with_the_right_one(uri: str) -> None:
    with pytest.raises(RequestError, match="asks for Prepare, not for Base; .*prepare file:"):
        open_folder("base", uri)
    with pytest.raises(RequestError, match="verb 'bake' is unknown"):
        open_folder("bake", uri)


def test_a_folder_without_a_request_is_refused(workplace: Workplace) -> None:
    with pytest.raises(RequestError, match=r"elsewhere holds no request\.json"):
        open_folder("base", f"{workplace.store.uri}/elsewhere")


@pytest.mark.parametrize("uri", ["relative/folder", "ftp://host/x", "file:///a/../b", ""])
def test_what_is_no_uri_is_refused(uri: str) -> None:
    with pytest.raises(UserError):
        open_folder("base", uri)


def test_a_request_that_was_moved_is_refused(workplace: Workplace, uri: str) -> None:
    stored = workplace.store.get(f"{KEY}/request.json")
    assert stored is not None
    workplace.store.put("moved/request.json", stored.data)
    with pytest.raises(RequestError, match="which the URI does not end with"):
        open_folder("prepare", f"{workplace.store.uri}/moved")


@pytest.mark.parametrize(
    ("content", "named"),
    [(b"{", "Invalid JSON"), (b'{"kind": "Prepare"}', "key: Field required")],
)
def test_a_request_that_can_not_be_read_is_refused(
    tmp_path: Path, content: bytes, named: str
) -> None:
    open_store(tmp_path.as_uri()).put("job/request.json", content)
    with pytest.raises(RequestError, match=named):
        open_folder("prepare", f"{tmp_path.as_uri()}/job")


def test_a_request_of_a_later_minor_format_is_read(workplace: Workplace, uri: str) -> None:
    asked = open_folder("prepare", uri).request
    state_format(workplace, "1.999", later="field")
    assert open_folder("prepare", uri).request == asked


def test_a_request_of_a_later_major_format_is_refused(workplace: Workplace, uri: str) -> None:
    state_format(workplace, "2.0")
    said = r"request\.json has format 2\.0; .*use the version of detnas that wrote it"
    with pytest.raises(RequestError, match=said):
        open_folder("prepare", uri)


def state_format(workplace: Workplace, stated: str, **fields: str) -> None:
    stored = workplace.store.get(f"{KEY}/request.json")
    assert stored is not None
    content = {**json.loads(stored.data), "format": stated, **fields}
    workplace.store.put(f"{KEY}/request.json", json.dumps(content).encode())


def test_attempts_are_numbered_and_never_shared(workplace: Workplace, uri: str) -> None:
    folder = open_folder("prepare", uri)
    times = iter(NOW + timedelta(seconds=n) for n in range(10))
    first = folder.claim_attempt(0, lambda: next(times))
    second = folder.claim_attempt(7, lambda: next(times))
    assert (first.number, second.number, second.resumed_at) == (1, 2, 7)
    stored = load_record(workplace.store, f"{KEY}/attempts/2/attempt.json", Attempt)
    assert stored == second


def test_two_that_claim_at_once_get_different_numbers(
    workplace: Workplace, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = open_folder("prepare", uri)
    create_record(workplace.store, f"{KEY}/attempts/1/attempt.json", Attempt(number=1, started=NOW))
    monkeypatch.setattr(type(folder.store), "list", lambda *_: iter(()))  # it came just after
    assert folder.claim_attempt(0, lambda: NOW + timedelta(seconds=1)).number == 2


def test_a_finished_job_says_how_it_ended(workplace: Workplace, uri: str) -> None:
    folder = open_folder("prepare", uri)
    assert folder.outcome() is None
    result = PrepareResult(outcome=Outcome.INVALID, started=NOW, finished=NOW)
    create_record(workplace.store, f"{KEY}/result.json", result)
    assert folder.outcome() is Outcome.INVALID
