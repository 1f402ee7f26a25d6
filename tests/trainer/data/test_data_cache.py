"""Copies of data sets that outlive a pod: kept while used, the oldest removed to make room."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from detnas_trainer.data.data_cache import DataCache, data_cache


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        self.now += 60
        return self.now


@pytest.fixture
def cache(tmp_path: Path) -> DataCache:
    """One that takes two copies of a hundred bytes."""
    return DataCache(tmp_path / "cache", 250, Clock())


def filled(cache: DataCache, name: str, size: int = 100) -> None:
    with cache.use(name, size) as folder:
        assert folder is not None
        folder.mkdir(exist_ok=True)
        (folder / "image").write_text(name)


def copies(cache_folder: Path) -> list[str]:
    return sorted(path.name for path in cache_folder.iterdir() if path.is_dir())


def test_copy_stays_and_what_was_used_longest_ago_makes_room(
    cache: DataCache, tmp_path: Path
) -> None:
    for name in ("a", "b", "a", "c"):
        filled(cache, name)
    assert copies(tmp_path / "cache") == ["a", "c"]
    with cache.use("a", 100) as folder:
        assert folder is not None
        assert (folder / "image").read_text() == "a"


def test_copy_in_use_is_never_removed(cache: DataCache, tmp_path: Path) -> None:
    with cache.use("a", 100), cache.use("b", 100):
        with cache.use("c", 100) as folder:
            assert folder is None
        assert copies(tmp_path / "cache") == ["a", "b"]
    filled(cache, "c")
    assert copies(tmp_path / "cache") == ["b", "c"]


def test_copy_that_is_larger_than_the_cache_has_no_room_and_removes_no_other(
    cache: DataCache, tmp_path: Path
) -> None:
    filled(cache, "b")
    with cache.use("a", 251) as folder:
        assert folder is None
    assert copies(tmp_path / "cache") == ["b"]


def test_copy_of_a_killed_user_may_be_removed(cache: DataCache, tmp_path: Path) -> None:
    began = multiprocessing.get_context("fork").Event()

    def use() -> None:
        with cache.use("a", 200):
            began.set()
            signal.pause()

    process = multiprocessing.get_context("fork").Process(target=use)
    process.start()
    assert began.wait(30)
    with cache.use("b", 200) as folder:
        assert folder is None
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join(30)
    filled(cache, "b", 200)
    assert copies(tmp_path / "cache") == ["b"]


def test_half_removed_copy_is_removed(cache: DataCache, tmp_path: Path) -> None:
    (tmp_path / "cache" / ".gone-x" / "deep").mkdir(parents=True)
    filled(cache, "a")
    assert copies(tmp_path / "cache") == ["a"]


def test_data_cache_is_named_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DETNAS_DATA_CACHE", raising=False)
    assert data_cache() is None
    monkeypatch.setenv("DETNAS_DATA_CACHE", str(tmp_path))
    monkeypatch.setenv("DETNAS_DATA_CACHE_BYTES", "10")
    assert data_cache() is not None
