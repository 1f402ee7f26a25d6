"""The process that runs jobs: lost, restarted, reported as broken."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from detnas.runner.errors import RunError
from detnas.runner.job_server import LOST, JobCommand, JobServer

SERVER = """
import logging, os, sys, time
from detnas_trainer.jobs.logs import set_up_logging
from detnas_trainer.warm import Server, die_with

def run(verb, uri):
    if verb == "chatter":
        set_up_logging()
        for number in range(1000):
            print("line", number, "of much output" * 10)
            logging.getLogger("detnas_trainer").info("line %d: → ü", number)
        return 0
    print("thread count", os.environ["OMP_NUM_THREADS"], flush=True)
    if verb == "sleep":
        time.sleep(600)
    if verb == "raise":
        raise ValueError("broken")
    return int(uri)

die_with(os.getppid())
Server(run, os.dup(1)).serve()
"""


@pytest.fixture
def server(tmp_path: Path) -> JobServer:
    return JobServer([sys.executable, "-c", SERVER], tmp_path / "server.txt")


def job(tmp_path: Path, verb: str, uri: str = "0", name: str = "log") -> JobCommand:
    return JobCommand(verb, uri, tmp_path / f"{name}.txt", 3)


def ends(server: JobServer, count: int = 1) -> dict[str, int]:
    found: dict[str, int] = {}
    until = time.monotonic() + 120
    while len(found) < count and time.monotonic() < until:
        found |= dict(server.ended(0.1))
    return found


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_server_reports_exit_codes_and_writes_each_log(server: JobServer, tmp_path: Path) -> None:
    names = {code: server.start(job(tmp_path, "run", code, code)) for code in ("0", "42", "75")}
    broken = server.start(job(tmp_path, "raise", name="broken"))
    expected = {name: int(code) for code, name in names.items()} | {broken: 1}
    assert ends(server, 4) == expected
    assert (tmp_path / "42.txt").read_text() == "thread count 3\n"
    assert "ValueError: broken" in (tmp_path / "broken.txt").read_text()
    server.close()


def test_signal_reaches_one_job(server: JobServer, tmp_path: Path) -> None:
    first, second = (server.start(job(tmp_path, "sleep", name=name)) for name in "ab")
    wait_for(lambda: all((tmp_path / f"{name}.txt").is_file() for name in "ab"))
    server.signal(first, signal.SIGTERM)
    assert ends(server) == {first: -signal.SIGTERM}
    assert dict(server.ended(0.2)) == {}
    server.close()
    assert second


def test_start_after_a_death_starts_the_server_again(server: JobServer, tmp_path: Path) -> None:
    name = server.start(job(tmp_path, "sleep"))
    wait_for((tmp_path / "log.txt").is_file)
    list(server.ended(0.1))
    assert server._process is not None
    os.kill(server._process.pid, signal.SIGKILL)
    assert ends(server) == {name: LOST}
    again = server.start(job(tmp_path, "run", "7"))
    assert ends(server) == {again: 7}
    server.close()


def test_ended_with_a_timeout_returns_despite_signals(server: JobServer) -> None:
    began, timeout, calls = time.monotonic(), 0.002, 300

    def tick(*_: object) -> None:
        assert time.monotonic() - began < 60, "a call waits for ever"

    before = signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, timeout, timeout * 0.97)
    try:
        for _ in range(calls):
            assert dict(server.ended(timeout)) == {}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_server_that_does_not_start_raises_with_its_log(tmp_path: Path) -> None:
    server = JobServer([sys.executable, "-c", "raise SystemExit('no torch')"], tmp_path / "log")
    server.start(job(tmp_path, "run"))
    with pytest.raises(RunError, match=r"does not start \(exit 1\)(.|\n)*no torch"):
        ends(server)
    absent = JobServer([str(tmp_path / "absent")], tmp_path / "log")
    with pytest.raises(RunError, match="install detnas with its extra 'trainer'"):
        absent.start(job(tmp_path, "run"))


@pytest.mark.parametrize("log", ["/dev/full", "/proc/none/log.txt"], ids=["full", "missing"])
def test_job_whose_log_cannot_be_written_succeeds(
    server: JobServer, tmp_path: Path, log: str
) -> None:
    lost = server.start(JobCommand("chatter", "0", Path(log), 1))
    assert ends(server) == {lost: 0}
    kept = server.start(job(tmp_path, "chatter"))  # the same server, with a log that can be written
    assert ends(server) == {kept: 0}
    assert "line 999: → ü" in (tmp_path / "log.txt").read_text(encoding="utf-8")
    server.close()


@pytest.mark.parametrize("log", ["/dev/full", "/proc/none/log.txt"], ids=["full", "missing"])
def test_server_whose_own_log_cannot_be_written_runs_jobs(tmp_path: Path, log: str) -> None:
    server = JobServer([sys.executable, "-c", SERVER], Path(log))
    name = server.start(job(tmp_path, "chatter"))
    assert ends(server) == {name: 0}
    server.close()
