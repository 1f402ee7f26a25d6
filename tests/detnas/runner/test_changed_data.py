"""A search whose data changes stops, and loses nothing."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.searches import ENCODING
from tests.detnas.data_identity.data_sets import THREE, write_files
from tests.detnas.searches.local_run import LocalSearch

DATASET = {
    "source": {"directory": "data"},
    "train": "labels/train.json",
    "val": "labels/val.json",
    "trainImages": "train",
    "valImages": "val",
    "test": "labels/test.json",
    "testImages": "test",
}
POOL = {"phases": [{"epochs": 1, "learningRate": "0.1"}]}
BASE = {"architecture": ENCODING, "stem": 16, "weights": "base.pth", "train": {"epochs": 1}}
REMEDY = "restore the old data, or give the search another metadata.name to search the new data"

CHANGES: dict[str, tuple[str, str]] = {
    "labels": ("data/labels/train.json", "the training annotations"),
    "images of the same size": ("data/train/sub/a.png", "1 of 3 training images has changed"),
    "test labels": ("data/labels/test.json", "the test annotations"),
    "test images": ("data/test/u.png", "1 of 2 test images has changed"),
    "weights": ("base.pth", "base.weights"),
}


def begin(folder: Path) -> LocalSearch:
    search = LocalSearch(folder, spec={"dataset": DATASET, "base": BASE, "teachers": POOL})
    search.write(trials=1)
    write_files(folder / "data", THREE)
    (folder / "base.pth").write_bytes((2).to_bytes(8, "little") + b"{}")  # safetensors
    return search


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> LocalSearch:
    """A search that has succeeded; a test that changes its data restores it."""
    search = begin(tmp_path_factory.mktemp("changed") / "search")
    search.run()
    return search


def other_bytes(path: Path) -> None:
    """Replace a file by one of the same name, size and date."""
    time.sleep(0.02)  # file systems count time in steps
    then = path.stat()
    path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))


def everything(search: LocalSearch) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in sorted((search.folder / "store" / "local").rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("compared_before", [False, True], ids=["first look", "stamped"])
@pytest.mark.parametrize("what", CHANGES)
def test_run_of_a_finished_search_with_other_data_is_refused(
    finished: LocalSearch, what: str, compared_before: bool
) -> None:
    name, words = CHANGES[what]
    path = finished.folder / name
    old = path.read_bytes()
    if compared_before:
        settle(finished)
    before = everything(finished)
    other_bytes(path)
    finished.write(trials=2)
    try:
        output = finished.run(exit_code=1)
        for expected in (words, str(path), "since the search began", REMEDY):
            assert expected in output
        assert everything(finished) == before
    finally:
        path.write_bytes(old)
        finished.write(trials=1)
    finished.run()
    assert everything(finished) == before


def settle(search: LocalSearch) -> None:
    """Let the data be compared once it is old enough for its stamps to be trusted."""
    stamps = list((search.folder / "store" / ".detnas").rglob("data-stamps.json"))
    for path in stamps:
        path.unlink()
    time.sleep(2.2)
    search.run()
    assert list((search.folder / "store" / ".detnas").rglob("data-stamps.json"))


def test_run_of_a_started_search_continues_only_with_its_old_data(tmp_path: Path) -> None:
    search = begin(tmp_path / "search")
    search.faults({"trials/0000": ["exit 44"]})
    search.run(exit_code=1)
    before = everything(search)
    labels = search.folder / "data/labels/val.json"
    old = labels.read_bytes()
    labels.write_bytes(b"{}")
    assert f"the validation annotations {labels} have changed" in search.run(exit_code=1)
    assert everything(search) == before
    labels.write_bytes(old)
    search.run()
    result = search.records("trials/*/result.json")["trials/0000/result.json"]
    assert (result["outcome"], result["attempt"]) == ("Succeeded", 2)


def test_job_that_finds_other_data_stops_the_run_without_a_result(tmp_path: Path) -> None:
    jobs = {"base": "base", "phase-0": "pool phase 0", "0000": "trial 0", "best": "export"}
    search = begin(tmp_path / "search")
    last = ["exit 1", "exit 1", "exit 44"]  # another failure would be the last
    search.faults({job: last if job == "0000" else ["exit 44"] for job in jobs})
    for job, name in jobs.items():
        said = search.run(exit_code=1)
        assert f"{name} read other data than the search was prepared with" in said
        starts = [key for key, _ in search.starts() if key.endswith(job)]
        assert len(starts) == (3 if job == "0000" else 1)
        assert not [key for key in search.results() if key.endswith(f"{job}/result.json")]
    search.run()
    results = [json.loads(content) for content in search.results().values()]
    assert {result["outcome"] for result in results} == {"Succeeded"}
    assert not list((search.folder / "store").rglob("failed-*.json"))


def test_run_with_other_images_under_the_same_labels_trains_another_pool(tmp_path: Path) -> None:
    search = begin(tmp_path / "search")
    search.run()
    shutil.copytree(search.folder / "data" / "train", search.folder / "data" / "thermal")
    begin_beside(search, "copied").run()
    assert len(pools(search)) == 1, "the same images in another folder are the same"
    for path in (search.folder / "data" / "thermal").rglob("*.png"):
        other_bytes(path)
    begin_beside(search, "other").run()
    assert len(pools(search)) == 2


def begin_beside(search: LocalSearch, name: str) -> LocalSearch:
    dataset = {**DATASET, "trainImages": "thermal"}
    beside = LocalSearch(search.folder, name, {**search.spec, "dataset": dataset})
    beside.write(trials=1)
    return beside


def pools(search: LocalSearch) -> list[Path]:
    return list((search.folder / "store" / "local" / "pools").iterdir())


def test_run_of_a_search_prepared_by_an_earlier_version_continues(tmp_path: Path) -> None:
    search = LocalSearch(tmp_path / "search")  # its prepare result names no files
    search.write(trials=1)
    search.run()
    write_files(search.folder / "data")
    before = everything(search)
    search.run()
    assert everything(search) == before


def test_run_with_an_unreadable_image_names_it(finished: LocalSearch) -> None:
    path = finished.folder / "data/train/b.png"
    away = path.rename(finished.folder / "away")
    path.symlink_to(path.name)  # a loop
    try:
        assert f"{path} cannot be compared" in finished.run(exit_code=1)
    finally:
        away.replace(path)


@pytest.mark.parametrize("gone", ["data", "base.pth"])
def test_run_of_a_finished_search_without_its_data_succeeds(
    finished: LocalSearch, gone: str
) -> None:
    """The dataset may be on another machine; the weights are not read again."""
    path = finished.folder / gone
    away = path.rename(finished.folder / "away")
    try:
        finished.run()
    finally:
        away.rename(path)


@pytest.mark.parametrize(
    ("words", "code", "stream"),
    [
        (("validate", "search.yaml"), 2, "stderr"),
        (("status", "search.yaml"), 0, "stdout"),
        (("run", "search.yaml"), 1, "stderr"),
    ],
)
def test_commands_that_read_the_data_report_its_change(
    commanded: LocalSearch,
    other_labels: str,
    words: tuple[str, ...],
    code: int,
    stream: str,
) -> None:
    ended = detnas(commanded, *words)
    assert ended.returncode == code, ended.stderr
    assert other_labels in getattr(ended, stream)
    assert REMEDY in getattr(ended, stream)


def test_commands_report_nothing_for_unchanged_data(commanded: LocalSearch) -> None:
    for words in (("validate", "search.yaml"), ("status", "search.yaml")):
        ended = detnas(commanded, *words)
        assert ended.returncode == 0, ended.stderr
        assert "changed" not in ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def commanded(tmp_path_factory: pytest.TempPathFactory) -> LocalSearch:
    """A finished search in the store that commands use by default."""
    search = begin(tmp_path_factory.mktemp("commanded") / "search")
    search.store = str(search.folder / "runs")
    search.write(trials=1)
    search.run()
    return search


@pytest.fixture
def other_labels(commanded: LocalSearch) -> Iterator[str]:
    """Change the labels for a test; return the expected message."""
    path = commanded.folder / "data/labels/train.json"
    old = path.read_bytes()
    path.write_bytes(b'{"images": []}')
    yield f"the training annotations {path} have changed"
    path.write_bytes(old)


def detnas(search: LocalSearch, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from detnas.cli import main; main()", *words],
        cwd=search.folder,
        capture_output=True,
        text=True,
        check=False,
    )
