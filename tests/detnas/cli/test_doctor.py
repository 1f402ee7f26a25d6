"""`detnas doctor` as a user types it, on this machine."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from detnas.cli.app import app
from detnas.doctor.trainer import ask_trainer_machine
from detnas.findings import Finding
from detnas.records.trainer_machine import TrainerMachine
from tests.detnas.searches.local_run import LocalSearch
from tests.seaweed import S3Server

ANSWER = TrainerMachine(versions={"torch": "2.11"}, threads=2)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trainer's libraries are imported in one test only."""
    monkeypatch.setattr("detnas.cli.planning.doctor.ask_trainer_machine", lambda: ANSWER)


def doctor(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["doctor", *map(str, words)])


def findings(ended: Result) -> dict[str, dict[str, Any]]:
    return {one["what"]: one for one in json.loads(ended.stdout)["findings"]}


def test_real_trainer_finds_its_libraries_and_operators() -> None:
    answer = ask_trainer_machine()
    assert not isinstance(answer, Finding), str(answer)
    assert answer.missing == {}
    assert answer.operators_problem == ""
    assert {"torch", "mmdet", "mmcv"} <= set(answer.versions)
    assert answer.threads > 0


@pytest.mark.usefixtures("quick")
def test_a_store_in_s3_is_tried(s3_environment: S3Server) -> None:
    ended = doctor("--store", f"s3://{s3_environment.bucket}/doctor", "-o", "json")
    found = findings(ended)
    what = f"store s3://{s3_environment.bucket}/doctor"
    assert found[what]["verdict"] == "ok"
    assert found[f"{what} keeps what was created"]["verdict"] == "ok"
    assert ended.exit_code == (1 if json.loads(ended.stdout)["faults"] else 0)


@pytest.mark.usefixtures("quick")
def test_files_that_the_manifest_names_and_that_are_missing_are_faults(tmp_path: Path) -> None:
    search = LocalSearch(tmp_path / "search")
    ended = doctor(search.folder / "search.yaml")
    assert ended.exit_code == 1
    assert "fault    spec.dataset.source.directory: " in ended.stdout
    assert "ok       Python: " in ended.stdout


@pytest.mark.usefixtures("quick")
def test_without_the_trainer_nothing_can_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detnas.cli.planning.doctor.has_trainer", lambda: False)
    ended = doctor("-o", "json")
    assert ended.exit_code == 1
    assert "detnas[trainer]" in findings(ended)["trainer"]["remedy"]
