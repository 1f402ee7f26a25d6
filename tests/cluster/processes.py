"""Programs that run beside the tests and die with them."""

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.seaweed import DIE_WITH_PARENT

Command = Sequence[str | Path]


@dataclass(frozen=True, slots=True)
class Process:
    """A running program and the file that has its output."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.popen.pid

    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.popen.poll() is None

    def terminate(self, seconds: float) -> int | None:
        """Ask it to end; its exit status, None if it does not end in time."""
        self.popen.send_signal(signal.SIGTERM)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """End it at once."""
        self.popen.kill()
        self.popen.wait()


def start(
    command: Command,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Process:
    """Start a program whose output is appended to `log`.

    It gets SIGKILL when the thread that calls this ends: call it from one that stays.
    """
    wrapped = [sys.executable, "-c", DIE_WITH_PARENT, *command]
    with log.open("ab") as output:
        popen = subprocess.Popen(
            wrapped, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    return Process(popen, log)
