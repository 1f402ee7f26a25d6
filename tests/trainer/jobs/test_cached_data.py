"""Jobs that share a copy of a data set which outlives them."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from detnas.records.requests import BaseRequest
from detnas.records.settings import DataLocation
from detnas.store import Store, open_store
from detnas_trainer.jobs import data_set
from detnas_trainer.jobs.folder import open_folder
from detnas_trainer.jobs.job import opened_job
from tests.trainer.conftest import Workplace

FILES = 3 + 2 + 2
"""Images and annotations of the data set."""


class Counting:
    """A store that counts its verbs."""

    def __init__(self, store: Store, counts: Counter[str]) -> None:
        self._store = store
        self._counts = counts

    def __getattr__(self, verb: str) -> Any:
        self._counts[verb] += 1
        return getattr(self._store, verb)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the data set's store was asked for what."""
    counts: Counter[str] = Counter()
    monkeypatch.setattr(data_set, "open_store", lambda uri: Counting(open_store(uri), counts))
    return counts


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that outlives the jobs."""
    folder = tmp_path / "outlives"
    monkeypatch.setenv("DETNAS_DATA_CACHE", str(folder))
    monkeypatch.setenv("DETNAS_DATA_CACHE_BYTES", "1000000")
    return folder


@pytest.fixture
def request_(workplace: Workplace, own_data: DataLocation) -> BaseRequest:
    """A job on a data set that lies in a store and was prepared."""
    there = own_data.model_copy(update={"root": Path(own_data.root).as_uri()})
    found = workplace.succeed(workplace.prepare_request("local/a/prepare", data=there))
    seen = {"annotations": found.annotations, "image_listing": found.image_listing}
    return workplace.base_request("local/a/base", data=there, **seen)


def data_of(workplace: Workplace, request: BaseRequest, node: str) -> Path:
    """Where a job on a new node reads the data set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETNAS_CACHE", str(workplace.root / node))
        with opened_job(open_folder("base", workplace.put(request))) as job:
            data_set.fetch_prepared_data(job)
            return Path(job.request.data.root)


def test_second_job_downloads_nothing(
    workplace: Workplace, request_: BaseRequest, cache: Path, asked: Counter[str]
) -> None:
    folder = data_of(workplace, request_, "one")
    assert folder.parent == cache
    assert asked["get"] + asked["download_file"] == FILES
    asked.clear()
    assert data_of(workplace, request_, "two") == folder
    assert not {"get", "download_file", "size"} & asked.keys()


def test_job_completes_what_a_killed_one_fetched(
    workplace: Workplace, request_: BaseRequest, cache: Path, asked: Counter[str]
) -> None:
    folder = data_of(workplace, request_, "one")
    (folder / "train" / "1.png").unlink()
    asked.clear()
    assert data_of(workplace, request_, "two") == folder
    assert (asked["get"], asked["download_file"]) == (1, 0)


def test_damaged_copy_is_not_used(workplace: Workplace, request_: BaseRequest, cache: Path) -> None:
    folder = data_of(workplace, request_, "one")
    image = folder / "train" / "1.png"
    image.write_bytes(bytes(reversed(image.read_bytes())))
    found = data_of(workplace, request_, "two")
    assert found.is_relative_to(workplace.root / "two")
    assert (found / "train" / "1.png").read_bytes() != image.read_bytes()


@pytest.mark.parametrize("size", ["10", "1000000"])
def test_job_without_a_usable_cache_fetches_for_itself(
    workplace: Workplace,
    request_: BaseRequest,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: str,
) -> None:
    monkeypatch.setenv("DETNAS_DATA_CACHE_BYTES", size)
    if size != "10":
        cache.write_text("no folder")
    assert data_of(workplace, request_, "one").is_relative_to(workplace.root / "one")
