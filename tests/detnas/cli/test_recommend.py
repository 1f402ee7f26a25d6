"""`detnas recommend` of a search that has ended."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from detnas.cli.app import app
from detnas.errors import UserError
from detnas.lifecycle.record import StoredSearch
from detnas.store import open_store
from tests.detnas.searches.in_process import Scheduler, status, tiny


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> StoredSearch:
    folder: Path = tmp_path_factory.mktemp("recommend")
    found = tiny(open_store((folder / "store").as_uri()), "one", trials=8)
    Scheduler(folder).run(found)
    return found


def detnas(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, ["recommend", *words])


def test_recommend_names_the_detector_and_the_front(search: StoredSearch) -> None:
    front = status(search).front
    ended = detnas(search.uri, "--max-flops", "1e15")
    assert ended.exit_code == 0
    assert f"highest mAP within 1e+06 GFLOPs: {front[-1].name} at" in ended.stdout
    assert "Pareto front" in ended.stdout


def test_recommend_prints_json_for_programs(search: StoredSearch) -> None:
    ended = detnas(search.uri, "--min-map", "0.001", "-o", "json")
    assert ended.exit_code == 0
    found = json.loads(ended.stdout)
    front = status(search).front
    assert [one["flops"] for one in found["front"]] == [one.flops for one in front]
    assert found["recommended"][0]["detector"]["flops"] == front[0].flops


def test_recommend_exits_1_if_none_fits(search: StoredSearch) -> None:
    ended = detnas(search.uri, "--max-latency-ms", "0.001")
    assert ended.exit_code == 1
    assert "no detector takes at most 0.001 ms; the fastest is" in ended.stdout


@pytest.mark.parametrize("words", [(), ("--device", "CPU")])
def test_recommend_without_limits_says_what_to_give(
    search: StoredSearch, words: tuple[str, ...]
) -> None:
    ended = detnas(search.uri, *words)
    assert isinstance(ended.exception, UserError)
    assert "give --max-latency-ms, --max-flops or --min-map" in str(ended.exception)
