"""Stores that refuse, are full or are damaged: a clear error, and nothing lost."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.commands import run, run_until
from tests.e2e.data_sets import digits_manifest, make_digits, tiny_search, write_manifest
from tests.e2e.search_folder import SearchFolder


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A search on a few images, whose trainings are a single pass."""
    make_digits(tmp_path, canvases=4)
    document = digits_manifest()
    document["spec"]["dataset"]["source"]["directory"] = "digits"
    document["spec"]["base"]["train"] |= {"epochs": 1, "warmupIterations": 0}
    document["spec"]["search"]["parallelism"] = 1
    return write_manifest(tmp_path, document)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB: room for records, none for weights."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a file system of its own needs the right to mount one")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_run_refuses_a_store_below_a_file(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    done = run("run", manifest, "--store", tmp_path / "file" / "store")
    assert done.returncode == 1
    assert done.stderr.count("error:") == 1
    assert f"cannot use {tmp_path / 'file'}" in " ".join(done.stderr.split())
    assert (tmp_path / "file").read_text() == "mine"


def test_run_refuses_a_read_only_store(manifest: Path, small_disk: Path) -> None:
    options = ["-o", "remount,ro", str(small_disk)]
    subprocess.run(["mount", *options], check=True)
    done = run("run", manifest, "--store", small_disk / "store")
    assert done.returncode == 1
    assert done.stderr.count("error:") == 1
    assert "Read-only file system" in done.stderr
    assert "choose a folder that can be written" in " ".join(done.stderr.split())


@pytest.mark.slow
def test_run_with_a_full_store_continues_with_more_space(
    manifest: Path, small_disk: Path, tmp_path: Path
) -> None:
    search = SearchFolder(manifest, small_disk / "store")
    done = run("run", manifest, "--store", search.store)
    assert done.returncode == 1
    assert "no space left" in done.stderr
    assert "free space on the disk" in " ".join(done.stderr.split())
    kept = search.stamps("**/prepare/*.json")
    assert len(kept) == 3  # request, listing of the images, result

    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    run_until(
        lambda: base_has_succeeded(search),
        *("run", manifest, "--store", search.store),
        log=tmp_path / "again.txt",
    )
    assert search.stamps("**/prepare/*.json") == kept


def base_has_succeeded(search: SearchFolder) -> bool:
    try:
        return bool(search.record("base/result.json")["outcome"] == "Succeeded")
    except FileNotFoundError:  # the run has set the failed one aside
        return False


@pytest.mark.slow
def test_run_names_damaged_weights_and_retrains_those_without_consumers(tmp_path: Path) -> None:
    finished = SearchFolder(tiny_search(tmp_path), tmp_path / "finished")
    done = run("run", finished.manifest, "--store", finished.store)
    assert done.returncode == 0, done.stderr
    search = finished.copy_setup(tmp_path / "store")
    weights = search.store / search.record("base/result.json")["files"]["weights"]["key"]
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    cache = str(tmp_path / "cache")  # this machine must not know the weights already

    done = run("run", search.manifest, "--store", search.store, DETNAS_CACHE=cache)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert f"{weights.name} of {len(whole)} bytes; the store has {len(whole) // 2}" in said
    assert weights.read_bytes() == whole, "the same seed trains the same base"
    assert [result["outcome"] for result in search.results().values()] == ["Succeeded"]
