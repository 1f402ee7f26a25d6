"""Paths and addresses of a node, and its programs that run until they are stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.process import Command, StepFailed

MAX_SOCKET_BYTES = 100  # a path to a socket may have 107 bytes


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of the node `name`.

    All addresses exist only inside the node's network namespace, so several nodes may use the
    same ones.
    """

    name: str = "detnas-e2e"
    subnet: str = "10.244.77"
    services: str = "10.97.0.0/16"
    api_port: int = 6443

    @property
    def folder(self) -> Path:
        """All that the node writes; removed with it."""
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return home / "detnas" / "node" / self.name

    @property
    def network(self) -> Path:
        """The network namespace, as `ip netns` keeps it."""
        return Path("/run/netns") / self.name

    @property
    def address(self) -> str:
        """Of the node, on the bridge that its pods share."""
        return f"{self.subnet}.1"

    @property
    def pods(self) -> str:
        """Addresses of the pods."""
        return f"{self.subnet}.0/24"

    @property
    def server(self) -> str:
        """The API server's address."""
        return f"https://{self.address}:{self.api_port}"

    @property
    def configuration(self) -> Path:
        """Configuration files of the programs."""
        return self.folder / "conf"

    @property
    def logs(self) -> Path:
        """Output of the programs."""
        return self.folder / "log"

    @property
    def certificate(self) -> Path:
        """Of the API server, which makes it for itself."""
        return self.folder / "certificates" / "apiserver.crt"

    @property
    def containerd_socket(self) -> Path:
        """Where containerd listens."""
        return self.folder / "run" / "containerd.sock"

    def kubeconfig(self, user: str = "admin") -> Path:
        """How `user` reaches the API server."""
        return self.configuration / f"{user}.kubeconfig"


STOP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Daemons:
    """The programs of one node; all of them run in its network namespace."""

    layout: Layout

    def start(self, name: str, command: Command, env: Mapping[str, str] | None = None) -> None:
        """Start `command` in a session of its own, with its output in the log `name`."""
        if self.is_running(name):
            return
        self.layout.logs.mkdir(parents=True, exist_ok=True)
        with (self.layout.logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                inside(self.layout, command),
                cwd=self.layout.folder,
                env=None if env is None else {**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._file(name).write_text(f"{process.pid} {_born(process.pid)}", encoding="utf-8")

    def stop(self, name: str) -> None:
        """Ask it to end, and end it if it does not."""
        if (pid := self._pid(name)) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            if not wait(lambda: not self.is_running(name), STOP_SECONDS):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                wait(lambda: not self.is_running(name), STOP_SECONDS)
        self._file(name).unlink(missing_ok=True)

    def is_running(self, name: str) -> bool:
        """Whether it was started and has not ended."""
        return self._pid(name) is not None

    def wait_until(self, name: str, ready: Callable[[], bool], seconds: float = 90) -> None:
        """Wait until `ready()`.

        Raises:
            StepFailed: the program has ended or the time is over; with the end of its log.
        """
        if wait(lambda: ready() or not self.is_running(name), seconds) and ready():
            return
        log = self.layout.logs / f"{name}.log"
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])
        how = "is not ready" if self.is_running(name) else "has ended"
        raise StepFailed(f"{tail}\n✗ {name} {how}; all of its output: {log}")

    def _file(self, name: str) -> Path:
        return self.layout.folder / f"{name}.pid"

    def _pid(self, name: str) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            pid, born = self._file(name).read_text(encoding="utf-8").split()
            if _born(int(pid)) == born:
                return int(pid)
        return None


def inside(layout: Layout, command: Command) -> list[str]:
    """The command, run in the node's network namespace; `ip netns exec` would hide the cgroups."""
    return ["nsenter", f"--net={layout.network}", *(str(part) for part in command)]


def wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for `condition()`; whether it came in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def _born(pid: int) -> str | None:
    """Start time of a live process, in ticks since the machine's; a zombie is none."""
    _reap(pid)
    try:
        _, _, rest = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")
    except OSError:
        return None
    state, *fields = rest.split()
    return None if state == "Z" else fields[18]


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
