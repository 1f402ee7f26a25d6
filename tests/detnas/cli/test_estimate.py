"""`detnas estimate` from the records of an earlier search, and what it needs to know."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from detnas.cli.app import app
from detnas.errors import UserError
from tests.detnas.cli.commands import short_search
from tests.detnas.searches.local_run import LocalSearch

COUNTS = ("--images", "1000,200")


def detnas(*words: str | Path) -> str:
    ended = CliRunner(env={"COLUMNS": "80"}).invoke(app, list(map(str, words)))
    if ended.exception is not None:
        raise ended.exception
    return ended.stdout


def read(*words: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(detnas("estimate", *words, "-o", "json"))
    return found


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> LocalSearch:
    """A search that has run with the pretending trainer, whose base states what it took."""
    search = short_search(tmp_path_factory.mktemp("estimate") / "search")
    search.run()
    took = {"training": 600.0, "evaluating": 30.0, "loading": 2.0}
    edit(search, "base", lambda result: result.update(seconds=took))
    split = {"sha256": "", "boxes": 1, "emptyImages": 0}
    counts = {"train": {**split, "images": 1000}, "val": {**split, "images": 200}}
    edit(search, "prepare", lambda result: result.update(counts))
    return search


def edit(search: LocalSearch, job: str, change: Callable[[dict[str, Any]], None]) -> None:
    record = search.search / job / "result.json"
    result = json.loads(record.read_text())
    change(result)
    record.write_text(json.dumps(result))


def test_the_records_of_a_search_give_hours_with_their_range(done: LocalSearch) -> None:
    manifest = done.folder / "search.yaml"
    found = read(manifest, "--from", done.search)
    assert found["basis"].startswith(f"the records of file://{done.search}: base")
    parts = {part["name"]: part for part in found["time"]["parts"]}
    assert parts["base"]["secondsEach"]["expected"] == pytest.approx(632)
    wall = found["time"]["wallSeconds"]
    assert 632 < wall["low"] * 2 < wall["expected"] * 2 < wall["high"] * 2
    assert found["storage"]["kept"]["expected"] > 0


def test_people_get_a_table_and_what_it_is_based_on(done: LocalSearch) -> None:
    text = detnas("estimate", done.folder / "search.yaml", "--from", done.search)
    for line in ("wall time", "core hours", "storage", "based on the records of"):
        assert line in text


def test_stated_numbers_of_images_count(done: LocalSearch) -> None:
    few, many = (
        read(done.folder / "search.yaml", "--from", done.search, "--images", counts)
        for counts in ("1000,200", "2000,200,50")
    )
    assert many["images"] == {"train": 2000, "val": 200, "test": 50}
    hours = [one["time"]["deviceHours"]["expected"] for one in (few, many)]
    assert 1.5 < hours[1] / hours[0] < 2.2


def test_on_a_cluster_each_job_has_the_gpus_that_it_requests(done: LocalSearch) -> None:
    found = read(done.folder / "search.yaml", "--from", done.search, "--cluster", *COUNTS)
    assert found["time"]["unit"] == "GPU"


@pytest.mark.parametrize(
    ("images", "problem"), [("1000", "--images 1000 is wrong"), ("a,b", "--images a,b is wrong")]
)
def test_wrong_numbers_of_images_are_refused(done: LocalSearch, images: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        detnas("estimate", done.folder / "search.yaml", "--images", images)


def test_annotations_that_cannot_be_read_here_are_to_be_stated(tmp_path: Path) -> None:
    search = LocalSearch(tmp_path / "search")
    with pytest.raises(UserError, match=r"t\.json.*--images 118000,5000"):
        detnas("estimate", search.folder / "search.yaml")


def test_a_search_without_a_base_shows_no_speed(tmp_path: Path) -> None:
    search = short_search(tmp_path / "search")
    search.run()
    (search.search / "base" / "result.json").unlink()
    with pytest.raises(UserError, match="has no result of its base yet"):
        detnas("estimate", search.folder / "search.yaml", "--from", search.search)
