"""The process that runs the jobs, as the runner sees it: start, signal, hear how each ended."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any

from detnas.runner.errors import RunError
from detnas.runner.logs import log_end, open_log

LOST = -9
"""Exit reported for the jobs of a server that died: its children were killed with it."""

_PATIENCE = 5.0
_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",  # sets in the same order every run
    "PYTHONIOENCODING": "utf-8",  # logs, wherever they are read
}


@dataclass(frozen=True, slots=True)
class Started:
    """What a child is to do.

    Attributes:
        verb: such as ``evaluate``.
        uri: of the job's folder.
        log: file its output is appended to.
        threads: threads it may compute with.
    """

    verb: str
    uri: str
    log: Path
    threads: int


class JobServer:
    """A warmed process that forks a child for every job; started when first needed.

    Args:
        command: how to start it; it speaks the protocol of ``detnas_trainer.warm``.
        log: file for what it prints besides.
        restarts: how often in a row it may die without a single job ending by itself.
        clock: seconds, rising.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        restarts: int = 3,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command = list(command)
        self._log = log
        self._restarts = restarts
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        # No SimpleQueue: a signal in the last moment of its timeout makes it wait without end.
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._running: set[str] = set()
        self._deaths = 0
        self._ready = False
        self._ids = count(1)

    @property
    def answers(self) -> bool:
        """Whether there is a process that has said it is ready: before that, no job runs."""
        return self._process is not None and self._ready

    def start(self, job: Started) -> str:
        """Start a job and return the id under which its end is told."""
        name = str(next(self._ids))
        line = {
            "id": name,
            "verb": job.verb,
            "uri": job.uri,
            "log": str(job.log),
            "threads": job.threads,
            "environment": {"OMP_NUM_THREADS": str(job.threads)},
        }
        self._running.add(name)
        self._send(line)
        return name

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a job's process, if it still runs."""
        if name in self._running and self._process is not None:
            self._send({"id": name, "signal": int(number)})

    def ended(self, timeout: float) -> Iterator[tuple[str, int]]:
        """Wait for an answer, at most ``timeout`` seconds, and yield the jobs that ended.

        Raises:
            RunError: the server dies again and again.
        """
        until = self._clock() + timeout
        while True:
            try:
                answer = self._answers.get(timeout=max(0.0, until - self._clock()))
            except queue.Empty:
                return
            if answer is None:
                yield from self._server_died()
            elif "ready" in answer:
                self._ready = True
            elif "exit" in answer:
                self._deaths = 0
                self._running.discard(answer["id"])
                yield answer["id"], int(answer["exit"])
            until = self._clock()  # take what else is there, without waiting

    def stop(self) -> None:
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
        if self._process is None:
            self._process = self._spawn()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(line).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            return  # it is dead: its end is on the way through the answers

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
        if not self._ready or self._deaths > self._restarts:
            problem = "dies again and again" if self._ready else "does not start"
            raise RunError(
                f"the trainer's process {problem} (exit {code}); "
                f"the end of {self._log}:\n{log_end(self._log)}",
                "see what it says above, then run the same command again",
            )
        lost, self._running = sorted(self._running), set()
        for name in lost:
            yield name, LOST
