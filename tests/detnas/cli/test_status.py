"""`detnas status` of searches that no process here runs: on a cluster, silent, found by name."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from detnas.cli.app import app
from detnas.errors import UserError
from detnas.lifecycle.record import StoredSearch
from detnas.records import keys
from detnas.records.progress import Progress
from detnas.store import Store, open_store
from detnas.store.record_format import encode_record
from tests.detnas.searches.in_process import Scheduler, tiny

NO_RUNNER = "no process of this machine runs it; 'detnas run' continues it"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture
def search(store: Store, tmp_path: Path) -> StoredSearch:
    """One with a trial that is not over."""
    found = tiny(store, "one", trials=3)
    Scheduler(tmp_path, unanswered=(1,)).run(found)
    return found


def detnas(*words: str) -> str:
    ended = CliRunner(env={"COLUMNS": "80"}).invoke(app, list(words))
    if ended.exception is not None:
        raise ended.exception
    return ended.stdout


def heard(search: StoredSearch, age: timedelta) -> None:
    said = Progress(
        activity="training", done=5, total=60, seconds_left=754, updated=datetime.now(UTC) - age
    )
    attempt = keys.attempt_folder(keys.trial_folder(search.requests.search, 1), 1)
    search.store.put(f"{attempt}/progress.json", encode_record(said))


def test_status_of_a_cluster_search_names_kubectl(search: StoredSearch) -> None:
    assert NO_RUNNER in detnas("status", search.uri)
    key = keys.search_record_key(search.requests.search)
    stored = search.store.get(key)
    assert stored is not None
    record = json.loads(stored.data)
    record["folder"] = ""  # as an operator writes it
    record["manifest"]["metadata"]["namespace"] = "local"
    claim = {"persistentVolumeClaim": {"claimName": "data"}}
    record["manifest"]["spec"]["dataset"]["source"] = claim
    search.store.put(key, json.dumps(record).encode())
    said = detnas("status", search.uri)
    assert "kubectl describe detnas one --namespace local" in said
    assert "detnas run" not in said


def test_status_shows_the_age_of_old_progress(search: StoredSearch) -> None:
    heard(search, timedelta(seconds=20))
    assert "12:34" in detnas("status", search.uri)
    assert " ago" not in detnas("status", search.uri)
    heard(search, timedelta(minutes=12, seconds=3))
    said = detnas("status", search.uri)
    assert "12:03 ago" in said or "12:04 ago" in said
    assert "time left" not in said
    assert "12:34" not in said, "how long it takes from then on is not known"


def test_status_never_breaks_names(search: StoredSearch) -> None:
    lines = detnas("status", search.uri).splitlines()
    assert any(line.endswith(search.uri) for line in lines), "with nothing after it, either"
    encoding = "[(16, 16)-(16, 16)], [(32, 32)-(32, 32)], [(64, 64)-(64, 64)], [(64, 64)]"
    assert f"base: {encoding}" in lines


def test_status_finds_a_name_in_store_and_namespace(search: StoredSearch) -> None:
    place = ("--store", search.store.uri)
    assert search.uri in detnas("status", "one", *place)
    assert search.uri in detnas("status", "one", *place, "-n", "local", "-o", "json")
    with pytest.raises(UserError, match="no search of that name in .*/elsewhere/searches"):
        detnas("status", "one", *place, "-n", "elsewhere")
    with pytest.raises(UserError, match=r"on.yaml: there is no such file or folder; give .*s3://"):
        detnas("status", "on.yaml", *place)


def test_status_refuses_an_ambiguous_name(search: StoredSearch) -> None:
    other = tiny(search.store, "one", seed=9)
    with pytest.raises(UserError) as refused:
        detnas("report", "one", "--store", search.store.uri)
    assert search.uri in str(refused.value)
    assert other.uri in str(refused.value)


def test_status_of_a_cluster_manifest_does_not_suggest_run(tmp_path: Path) -> None:
    example = Path(__file__).parents[3] / "examples" / "digits" / "search-cluster.yaml"
    with pytest.raises(UserError, match=r"status\.folder"):
        detnas("status", str(example), "--store", str(tmp_path))


@pytest.mark.parametrize("command", ["status", "report"])
def test_status_help_shows_a_search_in_s3(command: str) -> None:
    assert f"detnas {command} s3://" in detnas(command, "--help")
