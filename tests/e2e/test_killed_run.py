"""kill -9 of a running search: its jobs die with it, and the next run continues."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.commands import run, start, wait_until
from tests.e2e.search_folder import SearchFolder

pytestmark = pytest.mark.slow
GONE_WITHIN = 60.0


@pytest.fixture(scope="module")
def setup(digits: SearchFolder, tmp_path_factory: pytest.TempPathFactory) -> SearchFolder:
    """A search whose base and pool are trained, and that has no trials yet."""
    return digits.copy_setup(tmp_path_factory.mktemp("killed") / "store")


def test_killed_run_continues_without_repeating_jobs(setup: SearchFolder, tmp_path: Path) -> None:
    trained = setup.stamps("**/*.*")
    log = tmp_path / "output.txt"
    arguments = ("run", setup.manifest, "--store", setup.store)
    process = start(*arguments, log=log, DETNAS_CHECKPOINT_SECONDS="0")
    try:
        wait_until(lambda: _stopped_half_way(setup, process.pid), process, log)
        children = list(_descendants(process.pid))
    finally:
        process.kill()
        process.wait()
    assert len(children) >= 2, "the server and at least one job"
    _wait_until_gone(children)
    interrupted = _trained_half(setup)
    finished = setup.stamps("**/trials/*/result.json")
    assert interrupted
    assert finished

    again = run(*arguments)
    assert again.returncode == 0, again.stderr
    after = setup.stamps()
    assert {name: after[name] for name in finished} == finished
    assert {name: after[name] for name in trained} == trained
    assert set(setup.results()) == {f"{number:04d}" for number in range(5)}
    for trial in interrupted:
        attempts = sorted(trial.glob("attempts/*/attempt.json"))
        assert len(attempts) == 2
        assert json.loads(attempts[-1].read_text())["resumedAt"] > 0
    for name in finished:
        assert len(list((setup.store / name).parent.glob("attempts/*/attempt.json"))) == 1
    assert len(list((setup.path / "base" / "attempts").iterdir())) == 1


def _trained_half(search: SearchFolder) -> list[Path]:
    """Trials that have a checkpoint and no result, once another has ended."""
    trials = search.trials if (search.path / "trials").is_dir() else []
    open_ones = [
        trial
        for trial in trials
        if (trial / "attempts" / "1" / "checkpoint.json").exists()
        and not (trial / "result.json").exists()
    ]
    return open_ones if search.results() else []


def _stopped_half_way(search: SearchFolder, process: int) -> bool:
    """Whether a trial is half trained; if so, nothing moves any more, so that it stays so."""
    if not _trained_half(search):
        return False
    _signal_all(process, signal.SIGSTOP)
    if not _trained_half(search):  # it ended while we looked
        _signal_all(process, signal.SIGCONT)
        return False
    return True


def _signal_all(process: int, number: signal.Signals) -> None:
    for one in (process, *_descendants(process)):
        with suppress(ProcessLookupError):
            os.kill(one, number)


def _descendants(process: int) -> Iterator[int]:
    for task in Path(f"/proc/{process}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            yield child
            yield from _descendants(child)


def _wait_until_gone(processes: list[int]) -> None:
    end = time.monotonic() + GONE_WITHIN
    while left := [process for process in processes if _lives(process)]:
        assert time.monotonic() < end, f"still alive: {left}"
        time.sleep(0.05)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"
