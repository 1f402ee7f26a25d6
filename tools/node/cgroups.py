"""The cgroups below which all pods of a node run."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from tools.node.daemons import wait
from tools.node.missing import CGROUPS


def folders(name: str) -> list[Path]:
    """The folders of the cgroup `name`: one for each controller of version 1, one of version 2."""
    if (CGROUPS / "cgroup.procs").exists():
        return [CGROUPS / name]
    return [one / name for one in sorted(CGROUPS.iterdir()) if (one / "cgroup.procs").exists()]


# All pods together would count as much as one process of the machine: here, as much as eight.
_WEIGHTS = {"cpu.shares": "8192", "cpu.weight": "800"}


def make(name: str) -> None:
    """Make the cgroup, where it is not there yet."""
    for folder in folders(name):
        folder.mkdir(exist_ok=True)
        for file, weight in _WEIGHTS.items():
            if (folder / file).exists():
                (folder / file).write_text(weight, encoding="utf-8")


def end_all(name: str) -> None:
    """End whatever runs in a pod, also what containerd knows nothing of any more."""

    def is_empty() -> bool:
        found = set(_processes(name))
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not found

    wait(is_empty, seconds=10)


def remove(name: str) -> None:
    """Remove the cgroup and those below it."""
    for folder in folders(name):
        for path, _, _ in os.walk(folder, topdown=False):
            with contextlib.suppress(OSError):
                Path(path).rmdir()


def _processes(name: str) -> Iterator[int]:
    for folder in folders(name):
        for file in folder.glob("**/cgroup.procs"):
            with contextlib.suppress(OSError):
                yield from map(int, file.read_text(encoding="utf-8").split())
