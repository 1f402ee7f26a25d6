"""kill -9 of the runner, at moments uniform over a search's wall time."""

import contextlib
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.searches import PHASES
from tests.detnas.searches.local_run import PATIENCE, LocalSearch, ends

MOMENTS = 20
TRIES = 5
IN_A_WRITE = 3
"""Every third moment is moved to the next store write, and falls inside it."""


@dataclass(frozen=True)
class Reference:
    """An undisturbed search.

    Attributes:
        results: keys of every result.
        proposals: its trials, in order.
        weights: digests of what was trained.
        began: when, in seconds since the epoch.
        lasted: seconds, to its last write.
        writes: when each store write began.
    """

    results: set[str]
    proposals: list[dict[str, Any]]
    weights: list[str]
    began: float
    lasted: float
    writes: list[float]

    def moment(self, number: int) -> tuple[int, float]:
        """Return a moment as the number of writes before it, and the seconds after those."""
        at = self.began + self.lasted * (number + 0.5) / MOMENTS
        before = [write for write in self.writes if write <= at]
        return len(before), at - (before[-1] if before else self.began)


def small_search(folder: Path) -> LocalSearch:
    search = LocalSearch(folder, spec={"teachers": {"phases": PHASES[:1]}})
    search.write(trials=4)
    (search.folder / "writes.txt").touch()
    return search


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    search = small_search(tmp_path_factory.mktemp("reference") / "search")
    began = time.time()
    search.run()
    writes = write_times(search)
    return Reference(
        results=set(search.results()),
        proposals=search.proposals(),
        weights=weights(search),
        began=began,
        lasted=writes[-1] - began,
        writes=writes,
    )


def write_times(search: LocalSearch) -> list[float]:
    lines = (search.folder / "writes.txt").read_text().splitlines()
    return [float(line.split()[0]) for line in lines]


@pytest.mark.parametrize("number", range(MOMENTS))
def test_run_after_a_kill_loses_and_repeats_nothing(
    reference: Reference, tmp_path: Path, number: int
) -> None:
    search = killed_search(tmp_path, reference.moment(number), number % IN_A_WRITE == 0)
    assert all(map(ends, processes(search))), "server and jobs die with the runner"
    results, started = search.results(), search.starts()

    search.run()

    after = search.results()
    assert {key: after[key] for key in results} == results, "a result was lost or changed"
    again = [key for key, _ in search.starts()[len(started) :]]
    assert not [key for key in again if f"{key}/result.json" in results], "repeated a finished job"
    assert len(again) == len(set(again)), "repeated a job within the second run"
    assert set(after) == reference.results
    assert search.proposals() == reference.proposals
    assert weights(search) == reference.weights
    assert not list(search.root.rglob("*.part")), "left unfinished files"


def killed_search(folder: Path, moment: tuple[int, float], in_a_write: bool) -> LocalSearch:
    """Return a killed search.

    One that ends before its moment, on a machine that has become quicker, is left; the next moment
    is a write earlier.
    """
    writes, seconds = moment
    for number in range(TRIES):
        search = small_search(folder / f"search-{number}")
        if kill_at(search, (writes - number, seconds), in_a_write=in_a_write):
            return search
    raise AssertionError("every search ended before the moment came")


def kill_at(search: LocalSearch, moment: tuple[int, float], *, in_a_write: bool) -> bool:
    """Start the search and kill it, if required in the next write; return whether it still ran."""
    writes, seconds = moment
    runner = search.start()
    wait(lambda: len(write_times(search)) >= writes)
    until = time.monotonic() + seconds
    wait(lambda: time.monotonic() >= until or len(write_times(search)) > writes)
    if in_a_write:
        (search.folder / "hold").touch()
        wait(lambda: (search.folder / "held").exists() or runner.poll() is not None)
    runner.kill()
    runner.communicate()
    (search.folder / "hold").unlink(missing_ok=True)
    return runner.returncode == -signal.SIGKILL


def processes(search: LocalSearch) -> list[int]:
    """Return the living processes of this search, whose command lines name its folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(search.folder).encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def wait(condition: Any) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)


def weights(search: LocalSearch) -> list[str]:
    """Return the digests of every trial's weights, and of the exported ones."""
    trials = search.records("trials/*/result.json").values()
    (exported,) = search.records("students/best/request.json").values()
    found = [trial["files"]["weights"]["sha256"] for trial in trials]
    return [*found, exported["weights"]["sha256"]]
