"""Runs a build of podman so that SIGTERM ends it: `python stoppable.py podman build …`.

podman passes the signal on to the step that runs, whose shell ignores it, as the first process of
a container does. Here the step is ended instead, and podman then cleans up and fails.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


def main() -> int:
    """Run the command of the arguments; its exit status."""
    process = subprocess.Popen(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: end_containers(process.pid))
    return process.wait()


def end_containers(pid: int) -> None:
    """End the descendants of a process that live in a container, and nothing else."""
    ours = Path("/proc/self/ns/pid").readlink()
    for descendant in _descendants(pid):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if Path(f"/proc/{descendant}/ns/pid").readlink() != ours:
                os.kill(descendant, signal.SIGKILL)


def _descendants(pid: int) -> Iterator[int]:
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, tasks.read_text(encoding="utf-8").split()):
                yield child
                yield from _descendants(child)


if __name__ == "__main__":
    sys.exit(main())
