"""A local search begun by an earlier version continues with this one."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detnas.lifecycle.search_status import search_status
from tests.detnas.searches.in_process import reread
from tests.detnas.searches.local_run import PATIENCE, LocalSearch
from tests.earlier_version import BEFORE_SESSIONS, Earlier, check_out

SPEC = {"finetune": {"epochs": 1}}
SEARCH = {"trials": 12, "patience": 1000, "actions": {"layerNorm": "Sum"}}
"""With the default of the earlier version, for the reference too."""


@pytest.fixture(scope="module")
def begun_by(tmp_path_factory: pytest.TempPathFactory) -> Earlier:
    return check_out(tmp_path_factory, BEFORE_SESSIONS, "detnas", "trainer", "operator", "tests")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> LocalSearch:
    """The same search, run by this version alone."""
    search = local_search(tmp_path_factory.mktemp("reference") / "search")
    search.run(parallelism=1)
    return search


def local_search(folder: Path, name: str = "tiny", **spec: Any) -> LocalSearch:
    search = LocalSearch(folder, name, {**SPEC, **spec})
    search.write(**SEARCH)
    return search


def run_earlier(
    earlier: Earlier,
    search: LocalSearch,
    exit_code: int,
    meanwhile: Callable[[subprocess.Popen[str]], None] = lambda _: None,
) -> None:
    """Run the search by the earlier version until it ends."""
    (search.folder / "store.txt").write_text(str(search.root))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.detnas.runner.run_search", str(search.folder)],
        cwd=earlier.folder,
        env={
            **os.environ,
            "PYTHONPATH": earlier.python_path,
            "DETNAS_CACHE": str(search.folder / "cache"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    meanwhile(process)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == exit_code, output


@pytest.mark.parametrize("job", ["phase-1", "trials/0008", "finetune", "students/best"])
def test_run_continues_an_earlier_versions_search_where_it_was_stopped(
    begun_by: Earlier, reference: LocalSearch, tmp_path: Path, job: str
) -> None:
    search = local_search(tmp_path / "search")
    search.faults({job: ["hang"]})

    def stop(process: subprocess.Popen[str]) -> None:
        search.wait_for(job)
        process.send_signal(signal.SIGINT)

    run_earlier(begun_by, search, 130, stop)
    results, started = search.results(), search.starts()
    search.run()

    after = search.results()
    assert {key: after[key] for key in results} == results
    again = [key for key, _ in search.starts()[len(started) :]]
    assert [key for key in again if key.endswith(job)]
    assert not [key for key in again if f"{key}/result.json" in results]
    assert after.keys() == reference.results().keys()
    assert search.proposals() == reference.proposals()


def test_run_of_an_earlier_versions_finished_search_changes_nothing(
    begun_by: Earlier, reference: LocalSearch, tmp_path: Path
) -> None:
    search = local_search(tmp_path / "search")
    run_earlier(begun_by, search, 0)
    results, started = search.results(), search.starts()
    assert search.proposals() == reference.proposals()
    search.run()
    assert (search.results(), search.starts()) == (results, started)
    opened, expected = search.open(), reference.open()
    status = search_status(opened, reread(opened))
    expected_status = search_status(expected, reread(expected))
    assert status == expected_status.model_copy(
        update={name: getattr(status, name) for name in ("folder", "exported_to", "cost")}
    )


def test_warm_start_inherits_an_earlier_versions_trials(
    begun_by: Earlier, reference: LocalSearch, tmp_path: Path
) -> None:
    first = local_search(tmp_path / "first", "first")
    run_earlier(begun_by, first, 0)
    second = LocalSearch(
        tmp_path / "second", "second", {"warmStart": {"from": "first"}}, str(first.root)
    )
    second.write(trials=2)
    second.run()
    assert [trial["index"] for trial in second.proposals()][-2:] == [12, 13]
    assert second.starts()[0][0].endswith("/prepare")
