"""The process that runs the jobs, from the runner's side: start, signal, receive each exit."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any, BinaryIO

from detnas.runner.errors import RunError

LOST = -9
"""Exit reported for the jobs of a server that died: its children were killed with it."""

_RESTARTS = 3
"""How often in a row the server may die without a single job ending by itself."""

_PATIENCE = 5.0
_LOG_LINES = 20
_LOG_BYTES = 8192
_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",  # sets in the same order every run
    "PYTHONIOENCODING": "utf-8",  # logs, wherever they are read
}


@dataclass(frozen=True, slots=True)
class JobCommand:
    """A job for a child process.

    Attributes:
        verb: such as ``evaluate``.
        uri: of the job's folder.
        log: file that its output is appended to.
        threads: that all its processes may compute with.
        devices: GPUs that it has, with a process on each; None on a machine without any.
    """

    verb: str
    uri: str
    log: Path
    threads: int
    devices: tuple[str, ...] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Variables of its processes."""
        processes = len(self.devices or ()) or 1
        chosen = {"OMP_NUM_THREADS": str(max(1, self.threads // processes))}
        if self.devices is not None:
            chosen["CUDA_VISIBLE_DEVICES"] = ",".join(self.devices)
        if processes > 1:
            chosen["DETNAS_PROCESSES_PER_WORKER"] = str(processes)
        return chosen


class JobServer:
    """A process with torch imported that forks a child for every job; started when first needed.

    Args:
        command: starts it; implements the protocol of ``detnas_trainer.warm``.
        log: file for its other output.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._command = list(command)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        # Not SimpleQueue: a signal at the end of its timeout makes it wait forever.
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._running: set[str] = set()
        self._deaths = 0
        self._ready = False
        self.devices: tuple[str, ...] = ()
        """Names of this machine's GPUs, once it is ready."""
        self._ids = count(1)

    @property
    def is_ready(self) -> bool:
        """Whether the process is ready: before that, no job runs."""
        return self._process is not None and self._ready

    def open(self) -> None:
        """Start the process, if it does not run; `ended` receives that it is ready."""
        if self._process is None:
            self._process = self._spawn()

    def start(self, job: JobCommand) -> str:
        """Start a job and return the ID that its exit is reported under."""
        name = str(next(self._ids))
        line = {
            "id": name,
            "verb": job.verb,
            "uri": job.uri,
            "log": str(job.log),
            "threads": job.threads,
            "environment": job.environment,
        }
        self._running.add(name)
        self._send(line)
        return name

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a job's process, if it still runs."""
        if name in self._running and self._process is not None:
            self._send({"id": name, "signal": int(number)})

    def ended(self, timeout: float) -> Iterator[tuple[str, int]]:
        """Wait for an answer at most ``timeout`` seconds; yield IDs and exit codes of ended jobs.

        Raises:
            RunError: the server dies repeatedly.
        """
        until = time.monotonic() + timeout
        while True:
            try:
                answer = self._answers.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return
            if answer is None:
                yield from self._server_died()
            elif "ready" in answer:
                self._ready = True
                self.devices = tuple(answer.get("devices", ()))
            elif "exit" in answer:
                self._deaths = 0
                self._running.discard(answer["id"])
                yield answer["id"], int(answer["exit"])
            until = time.monotonic()  # take further answers without waiting

    def close(self) -> None:
        """End the server; its children are killed with it."""
        process, self._process = self._process, None
        if process is None:
            return
        self._close_requests(process)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @staticmethod
    def _close_requests(process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()

    def _send(self, line: dict[str, Any]) -> None:
        self.open()
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(line).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            return  # it is dead, which the answers will report

    def _spawn(self) -> subprocess.Popen[bytes]:
        try:
            with open_log(self._log) as log:
                process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env={**os.environ, **_ENVIRONMENT},
                    start_new_session=True,  # a terminal's Ctrl-C is for the runner alone
                )
        except OSError as error:
            raise RunError(
                f"the trainer does not start: {self._command[0]}: {error.strerror}",
                "install detnas with its extra 'trainer'",
            ) from error
        assert process.stdout is not None
        threading.Thread(target=self._listen, args=(process.stdout,), daemon=True).start()
        return process

    def _listen(self, answers: IO[bytes]) -> None:
        with answers, contextlib.suppress(ValueError, OSError):
            for line in answers:
                self._answers.put(json.loads(line))
        self._answers.put(None)

    def _server_died(self) -> Iterator[tuple[str, int]]:
        if self._process is None:
            return  # we stopped it
        self._process.kill()  # in case it only stopped answering
        code = self._process.wait()
        self._close_requests(self._process)
        self._process = None
        self._deaths += 1
        if not self._ready or self._deaths > _RESTARTS:
            problem = "dies repeatedly" if self._ready else "does not start"
            raise RunError(
                f"the trainer's process {problem} (exit {code}); "
                f"the end of {self._log}:\n{log_end(self._log)}",
                "fix the cause shown above, then run the same command again",
            )
        lost, self._running = sorted(self._running), set()
        for name in lost:
            yield name, LOST


def log_end(path: Path, lines: int = _LOG_LINES) -> str:
    """Return the last lines of a log, of at most 8 KB; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LOG_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def open_log(path: Path) -> BinaryIO:
    """Open a log to append to it; if it cannot be written, its content is dropped."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")
    except OSError:
        return Path(os.devnull).open("ab")
