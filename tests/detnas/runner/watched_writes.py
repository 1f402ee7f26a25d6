"""Makes the store writes of a process be seen, and be held, from outside."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import detnas.store.directory

HELD_SECONDS = 120


def watch_writes(folder: Path) -> None:
    """Note every write in ``folder/writes.txt``, and hold it while ``folder/hold`` exists.

    A write that is held stands between the object's bytes and its name; ``folder/held`` says so.
    Does nothing without a file ``folder/writes.txt``.
    """
    if not (folder / "writes.txt").exists():
        return
    for name in ("link_into_place", "rename_into_place"):
        original = getattr(detnas.store.directory, name)
        setattr(detnas.store.directory, name, watched(original, folder))


def watched(write: Callable[[BinaryIO, Path], None], folder: Path) -> Callable[..., Any]:
    """The same write, seen."""

    def watched_write(file: BinaryIO, target: Path) -> None:
        with (folder / "writes.txt").open("a") as writes:
            writes.write(f"{time.time()} {os.getpid()} {target.name}\n")
        if (folder / "hold").exists():
            (folder / "held").write_text(target.name)
            time.sleep(HELD_SECONDS)
        write(file, target)

    return watched_write
