"""A function that runs as a process of its own, forked from one that has its imports already.

The operator's imports take two seconds of a core, those of a local run one; the tests start each
hundreds of times.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path

PRELOADED = (
    "detnas_operator.cli",
    "detnas_operator.controller.controller",
    "detnas_operator.reconcile.reconciler",
    "tests.cluster.forked_process",
    "tests.detnas.searches.local_run",
)
PR_SET_PDEATHSIG = 1
Main = Callable[[list[str]], int]


class ForkedProcess:
    """A function's process and the file that has its output; as `processes.Process`.

    It gets SIGKILL when this process ends, in whatever way.

    Args:
        main: takes `arguments` and returns the exit status; a module's function.
        log: output is appended to it; it may be a named pipe.
        environment: replaces that of this process.
    """

    def __init__(
        self,
        main: Main,
        arguments: list[str],
        log: Path,
        cwd: Path,
        environment: Mapping[str, str],
    ) -> None:
        given = (main, arguments, str(log), str(cwd), dict(environment))
        self._process = _server().Process(target=_run, args=given, daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process.pid
        return self._process.pid

    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    def wait(self, seconds: float) -> int | None:
        """Its exit status, below zero for a signal; None if it does not end in time."""
        self._process.join(seconds)
        return self._process.exitcode

    def terminate(self, seconds: float) -> int | None:
        """Ask it to end; its exit status, None if it does not end in time."""
        self._process.terminate()
        return self.wait(seconds)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.join()


@cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def _run(main: Main, arguments: list[str], log: str, cwd: str, environment: dict[str, str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.exit(main(arguments))
