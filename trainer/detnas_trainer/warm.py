"""A server that has imported torch and mmdet once, and forks a child for every job.

It reads JSON lines from stdin and writes JSON lines to stdout::

    {"id": "a", "verb": "evaluate", "uri": "file:///…", "log": "/…/log.txt", "threads": 2,
     "environment": {"OMP_NUM_THREADS": "2"}}           → {"id": "a", "exit": 0}
    {"id": "a", "signal": 15}                            (for that child only)

After the imports it writes ``{"ready": true, "devices": ["0", "1"]}`` with the names of the GPUs. A
job whose environment asks for several processes is launched in as many. An exit below zero is the
signal that ended the child. The server ends with the process that started it, and its children end
with the server, however that happens.
"""

import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detnas.process_setup import guard_standard_streams
from detnas_trainer.process_setup import die_with, set_up_openmp

Run = Callable[[str, str], int]
"""Runs a verb on a job's URI and returns its exit code."""


@dataclass(frozen=True, slots=True)
class ForkRequest:
    """One line that starts a child; ``threads`` and ``environment`` are its own."""

    id: str
    verb: str
    uri: str
    log: str
    threads: int = 1
    environment: dict[str, str] | None = None


def main() -> None:
    """Serve until stdin ends, then kill the children that are left."""
    die_with(os.getppid())
    answers = os.dup(1)
    os.dup2(2, 1)  # what the imports print must not be read as an answer
    guard_standard_streams()
    run = _warmed()
    gc.freeze()  # the pages of what is imported stay shared with the children
    Server(run, answers, devices=visible_devices()).serve()


def _warmed() -> Run:
    set_up_openmp()
    # Asking the driver whether there is a GPU would make CUDA unusable in the children.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    import cv2

    from detnas_trainer import jobs
    from detnas_trainer.openmmlab import register_all_modules

    cv2.setNumThreads(0)  # its threads would not survive the fork
    register_all_modules(init_default_scope=False)
    for module in pkgutil.walk_packages(jobs.__path__, f"{jobs.__name__}."):
        importlib.import_module(module.name)
    return jobs.run


def visible_devices() -> tuple[str, ...]:
    """Return the names of the GPUs that torch sees, as ``CUDA_VISIBLE_DEVICES`` has them.

    A child counts them: a process that has asked CUDA could not fork others that use it.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        torch = importlib.import_module("torch")
        os.write(writing, str(torch.cuda.device_count()).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as answer:
        count = int(answer.read() or 0)
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(named.split(",") if named else map(str, range(count)))[:count]


class Server:
    """Forks a child per job and reports how it ended."""

    def __init__(
        self, run: Run, answers: int, requests: int = 0, devices: Sequence[str] = ()
    ) -> None:
        self._run = run
        self._answers = answers
        self._requests = requests
        self._devices = list(devices)
        self._children: dict[int, str] = {}
        self._unread = b""

    def serve(self) -> None:
        """Serve until the requests end."""
        wake, woken = socket.socketpair()
        wake.setblocking(False)
        woken.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        self._answer({"ready": True, "devices": self._devices})
        with selectors.DefaultSelector() as selector:
            selector.register(self._requests, selectors.EVENT_READ)
            selector.register(wake, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is wake:
                        wake.recv(4096)
                    elif not self._read():
                        self._kill_all()
                        return
                self._reap()

    def _read(self) -> bool:
        data = os.read(self._requests, 1 << 16)
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            if "signal" in request:
                self._signal(request["id"], request["signal"])
            else:
                self._start(ForkRequest(**request))
        return bool(data)

    def _start(self, job: ForkRequest) -> None:
        server = os.getpid()
        child = os.fork()
        if child == 0:
            os.close(self._answers)
            os._exit(_exit_code(job, self._run, server))
        self._children[child] = job.id

    def _signal(self, job: str, number: int) -> None:
        for child, name in self._children.items():
            if name == job:
                os.kill(child, number)  # not yet waited for, so the number is still its own

    def _reap(self) -> None:
        for child in list(self._children):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                code = os.waitstatus_to_exitcode(status)
                self._answer({"id": self._children.pop(child), "exit": code})

    def _answer(self, answer: dict[str, Any]) -> None:
        os.write(self._answers, json.dumps(answer).encode() + b"\n")

    def _kill_all(self) -> None:
        for child in self._children:
            os.kill(child, signal.SIGKILL)
        for child in self._children:
            os.waitpid(child, 0)


def _exit_code(job: ForkRequest, run: Run, server: int) -> int:
    """Run the job in the child, and return the exit code with which the caller ends it."""
    try:
        die_with(server)
        _detach_from_server(job)
        if int(os.environ.get("DETNAS_PROCESSES_PER_WORKER") or 1) > 1:
            from detnas_trainer.launching.launcher import launch as run
        return run(job.verb, job.uri)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - the log is the only place left for it
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _detach_from_server(job: ForkRequest) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    log = _open_log(job.log, nothing)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    guard_standard_streams()
    sys.argv = ["detnas-trainer", job.verb, job.uri]
    os.environ.update(job.environment or {})
    if "torch" in sys.modules:
        # The thread pool's size was read from the environment when torch was imported.
        sys.modules["torch"].set_num_threads(job.threads)


def _open_log(log: str, otherwise: int) -> int:
    """Open a log to append to it; a job runs also if there is no room for one."""
    try:
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError:
        return otherwise


if __name__ == "__main__":
    main()
