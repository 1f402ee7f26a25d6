"""A search is stored beside its manifest, and every command finds it from any directory."""

import json
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from detnas.cli.app import app
from detnas.errors import UserError
from tests.detnas.cli.commands import COMMAND, detnas, short_search
from tests.detnas.searches.local_run import PATIENCE, ROOT, LocalSearch


def project(folder: Path) -> LocalSearch:
    found = short_search(folder)
    found.store = str(found.folder / "runs")
    return found


@pytest.fixture
def search(tmp_path: Path) -> LocalSearch:
    return project(tmp_path / "project")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of each test."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def run(search: LocalSearch, *words: str | Path) -> tuple[str, str]:
    ended = detnas(search, "run", search.folder / "search.yaml", *words, cwd=Path.cwd())
    out, err = ended.stdout.decode(), ended.stderr.decode()
    assert ended.returncode == 0, out + err
    return out, err


def look(*words: str | Path) -> tuple[str, str]:
    """Run a command that starts nothing in this process; return what it printed."""
    ended = CliRunner().invoke(app, list(map(str, words)))
    if ended.exception is not None:
        raise ended.exception
    return ended.stdout, ended.stderr


def status(*words: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(look("status", *words, "-o", "json")[0])
    return found


def test_search_is_stored_beside_its_manifest(
    search: LocalSearch, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = search.folder / "search.yaml"
    _, err = run(search)
    assert err == ""
    assert not list(elsewhere.iterdir())
    found = status(manifest)
    assert found["phase"] == "Succeeded"
    assert found["exportedTo"] == (search.search / "students/best").as_uri()
    assert status("../project/search.yaml") == found
    assert f"report: {search.search}/report/index.html" in look("report", manifest)[0]
    with pytest.raises(UserError, match="--store"):
        status("tiny")
    assert status("tiny", "--store", search.root) == found
    monkeypatch.chdir(search.folder)
    assert status("search.yaml") == status("tiny") == found


def test_store_option_is_relative_to_the_working_directory(
    search: LocalSearch, elsewhere: Path
) -> None:
    run(search, "--store", "../mine")
    assert (elsewhere.parent / "mine/local/searches").is_dir()
    assert not search.root.exists()


def test_search_in_an_earlier_working_directory_continues_there(
    search: LocalSearch, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = search.folder / "search.yaml"
    run(search, "--store", "runs")  # the rule of before
    starts = search.starts()
    _, err = run(search)
    assert err.count(f"began in {elsewhere}/runs and continues there") == 1
    assert search.starts() == starts
    assert not search.root.exists()
    assert status(manifest)["phase"] == "Succeeded"
    monkeypatch.chdir(search.folder)
    with pytest.raises(
        UserError, match="has not started; .* name with --store where it was started"
    ):
        status(manifest)
    monkeypatch.chdir(elsewhere)
    (elsewhere / "runs").rename(search.root)  # as it says
    assert look("status", manifest)[1] == ""


def test_search_of_another_manifest_copy_is_not_used(
    search: LocalSearch, elsewhere: Path, tmp_path: Path
) -> None:
    run(search, "--store", "runs")
    shutil.copytree(search.folder, tmp_path / "copy")
    with pytest.raises(UserError, match=f"{tmp_path}/copy/runs/.* has not started"):
        status(tmp_path / "copy" / "search.yaml")


def test_moved_project_continues_with_the_same_command(
    search: LocalSearch, elsewhere: Path, tmp_path: Path
) -> None:
    search.faults({"trials/0000": ["hang"]})
    words = [*COMMAND, str(search.folder), "run", str(search.folder / "search.yaml")]
    runner = subprocess.Popen(words, cwd=ROOT)
    search.wait_for("trials/0000")
    runner.send_signal(signal.SIGINT)
    assert runner.wait(PATIENCE) == 130
    results = search.results()
    search.folder.rename(tmp_path / "moved")
    moved = project(tmp_path / "moved")
    manifest = moved.folder / "search.yaml"
    assert status(manifest)["phase"] == "Searching"
    out, _ = run(moved)
    assert f"exported: {moved.search}/students/best" in out
    assert {key: moved.results()[key] for key in results} == results
    request = moved.records("trials/0000/request.json")["trials/0000/request.json"]
    assert request["data"]["root"] == f"{moved.folder}/data"
    assert status(manifest) == status(moved.search)


def test_undecodable_folder_name_is_refused(search: LocalSearch, tmp_path: Path) -> None:
    folder = tmp_path / b"W\xfcrfel".decode(errors="surrogateescape")
    search.folder.rename(folder)
    with pytest.raises(UserError, match=r"rfel is not UTF-8; rename the folder"):
        look("run", folder / "search.yaml")
