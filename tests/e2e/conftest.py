"""Finished searches: one a data set, shared by every worker."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.commands import run
from tests.e2e.data_sets import bccd_folder, bccd_search, digits_search
from tests.e2e.search_folder import SearchFolder

_WRITERS: dict[str, Callable[[Path], Path]] = {"digits": digits_search, "bccd": bccd_search}


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all workers of a test run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "e2e"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_cache(shared_folder: Path) -> None:
    """Children keep what they fetch here, not with the user's files."""
    os.environ["DETNAS_CACHE"] = str(shared_folder / "cache")


@pytest.fixture(scope="session")
def digits(shared_folder: Path) -> SearchFolder:
    """A finished search on digits."""
    return finished_search("digits", shared_folder)


@pytest.fixture(scope="session", params=list(_WRITERS))
def finished(request: pytest.FixtureRequest, shared_folder: Path) -> SearchFolder:
    """A finished search on each of the data sets."""
    if request.param == "bccd" and not bccd_folder().is_dir():
        pytest.skip(f"{bccd_folder()} is not there; DETNAS_BCCD may name another folder")
    return finished_search(request.param, shared_folder)


def finished_search(name: str, shared: Path) -> SearchFolder:
    """Run the search where no worker has run it yet; the others wait for it."""
    folder = shared / name
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "output.txt").exists():
            folder.mkdir()
            manifest = _WRITERS[name](folder)
            done = run("run", manifest, "--store", folder / "store")
            (folder / "output.txt").write_text(f"exit {done.returncode}\n{done.stdout}")
    output = (folder / "output.txt").read_text()
    assert output.startswith("exit 0\n"), output
    return SearchFolder(folder / "search.yaml", folder / "store")
