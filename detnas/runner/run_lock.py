"""One runner per search: a lock that ends with the process that holds it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detnas.runner.errors import AlreadyRunning
from detnas.store.errors import os_errors


def running_process(folder: Path) -> int | None:
    """Return the process of this machine that runs the search, by its lock file."""
    try:
        process = int((folder / "lock").read_bytes())
        os.kill(process, 0)
    except PermissionError:  # it lives, and is another user's
        return process
    except (OSError, ValueError):
        return None
    return process


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the run of the search whose local files are in ``folder``.

    Raises:
        AlreadyRunning: another process holds it.
    """
    path = folder / "lock"
    with os_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("ab+", buffering=0)
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().decode().strip() or "unknown"
            raise AlreadyRunning(
                f"this search is already being run on this machine (process {holder})",
                "watch it with 'detnas status', or stop it first",
            ) from None
        with contextlib.suppress(OSError):  # the number is for people only
            file.truncate(0)
            file.write(f"{os.getpid()}\n".encode())
        yield
