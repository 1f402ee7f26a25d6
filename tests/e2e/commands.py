"""The commands a user types, as child processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROGRAMS = Path(sys.executable).parent
SECONDS = 550
"""A search takes half a minute on two free cores; other tests may take most of them."""


def command(program: str, *arguments: str | Path) -> list[str]:
    """The argument list of one of the project's programs."""
    return [str(PROGRAMS / program), *map(str, arguments)]


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `detnas` to its end."""
    return run_program("detnas", *arguments, **environment)


def run_program(
    program: str, *arguments: str | Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run one of the project's programs to its end."""
    return subprocess.run(
        command(program, *arguments),
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, **environment},
    )


def read_json(*arguments: str | Path) -> dict[str, Any]:
    """What `detnas … -o json` prints."""
    done = run(*arguments, "-o", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def start(*arguments: str | Path, log: Path, **environment: str) -> subprocess.Popen[bytes]:
    """Start `detnas`, its output going to a file."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command("detnas", *arguments),
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a running command has come so far."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert process.poll() is None, f"ended too early:\n{log.read_text()}"
        assert time.monotonic() < end, f"did not come so far:\n{log.read_text()}"
        time.sleep(0.02)


def run_until(
    condition: Callable[[], bool], *arguments: str | Path, log: Path, **environment: str
) -> str:
    """Run `detnas`, press Ctrl-C once it has come so far, and return what it printed."""
    process = start(*arguments, log=log, **environment)
    try:
        wait_until(condition, process, log)
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 130, log.read_text()
    finally:
        process.kill()
        process.wait()
    return log.read_text()
