"""Copies of data sets that outlive a pod, shared by all pods that see the folder.

A copy is a folder of its own for a data set as a search was prepared with it, so no pod changes
what another one reads. Each user of a copy holds a lock on it, which the system releases when the
process ends, however it ends: copies that are not in use may be removed to make room, the least
recently used first. Files arrive complete or not at all; two pods that fill a copy at once share
the work.
"""

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from detnas.store.durable_files import exclusive_lock

_FOLDER = "DETNAS_DATA_CACHE"
_LOCK, _SIZE, _GONE, _ROOM = ".lock", ".size", ".gone-", ".room"


class DataCache:
    """A folder of copies.

    ``largest`` is in bytes, for all copies together; ``clock`` in seconds since the epoch.
    """

    def __init__(self, folder: Path, largest: int, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._largest = largest
        self._clock = clock

    @contextmanager
    def use(self, name: str, size: int) -> Iterator[Path | None]:
        """Yield the folder of a copy, which stays until the block ends; None if there is no room.

        Copies of the same data have the same name; ``size`` is in bytes.

        Raises:
            OSError: the folder cannot be used, or its file system has no locks.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{name}{_LOCK}").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            os.utime(lock.fileno(), (self._clock(), self._clock()))
            with exclusive_lock(self._folder / _ROOM):
                fits = self._has_room(name, size)
            yield self._folder / name if fits else None

    def _has_room(self, name: str, size: int) -> bool:
        """Whether a copy fits, once others that are not in use were removed if needed."""
        self._remove_leftovers()
        if size > self._largest:  # whatever is removed
            return False
        copies = self._sizes()
        for other in sorted(copies.keys() - {name}, key=self._last_used):
            if sum(copies.values()) - copies.get(name, 0) + size <= self._largest:
                break
            if self._removed(other):
                del copies[other]
        if sum(copies.values()) - copies.get(name, 0) + size > self._largest:
            return False
        if copies.get(name) != size:
            (self._folder / name).mkdir(exist_ok=True)
            _write(self._folder / f"{name}{_SIZE}", str(size))
        return True

    def _sizes(self) -> dict[str, int]:
        """Bytes of each copy when it is complete, by its name."""
        found = {}
        for path in self._folder.glob(f"*{_SIZE}"):
            with contextlib.suppress(OSError, ValueError):  # another pod removes it
                found[path.name.removesuffix(_SIZE)] = int(path.read_text())
        return found

    def _last_used(self, name: str) -> float:
        try:
            return (self._folder / f"{name}{_LOCK}").stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _removed(self, name: str) -> bool:
        with (self._folder / f"{name}{_LOCK}").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            # Renamed first: what a crash leaves of it does not count as a copy.
            gone = self._folder / f"{_GONE}{name}"
            with contextlib.suppress(FileNotFoundError):
                (self._folder / name).rename(gone)
            shutil.rmtree(gone, ignore_errors=True)
            (self._folder / f"{name}{_SIZE}").unlink(missing_ok=True)
        return True

    def _remove_leftovers(self) -> None:
        for path in self._folder.glob(f"{_GONE}*"):
            shutil.rmtree(path, ignore_errors=True)


def data_cache() -> DataCache | None:
    """Return the cache that the environment names: ``DETNAS_DATA_CACHE``, with its size in bytes in
    ``DETNAS_DATA_CACHE_BYTES``; None if it names none.
    """
    folder = os.environ.get(_FOLDER)
    return DataCache(Path(folder), int(os.environ[f"{_FOLDER}_BYTES"])) if folder else None


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text)
    part.replace(path)
