"""Files that appear complete or not at all, even if their writer is killed."""

import errno
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_UNFINISHED = ".part"


@contextmanager
def temporary_file(folder: Path) -> Iterator[BinaryIO]:
    """Yield a new file in ``folder``, to be linked or renamed to its place once complete.

    Its writer holds a lock on it, so that ``remove_abandoned`` can distinguish dead writers' files
    from live ones'. The temporary name is gone when the block ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = _open_locked(folder)
    try:
        yield file
    finally:
        Path(file.name).unlink(missing_ok=True)
        file.close()


def _open_locked(folder: Path) -> BinaryIO:
    while True:
        file = (folder / f".{secrets.token_hex(16)}{_UNFINISHED}").open("x+b")
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:  # else a cleaner got the lock before us
            return file
        file.close()


def remove_abandoned(folder: Path) -> None:
    """Delete the temporary files in ``folder`` whose writers are no longer alive."""
    for path in sorted(folder.glob(f".*{_UNFINISHED}")):
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
        except (FileNotFoundError, BlockingIOError):
            continue


def settle(file: BinaryIO) -> Path:
    """Flush a temporary file's content to the disk, and return its path."""
    file.flush()
    os.fsync(file.fileno())
    return Path(file.name)


def link_into_place(file: BinaryIO, target: Path) -> None:
    """Give a temporary file its name; raise ``FileExistsError`` where the name is taken."""
    source = settle(file)
    make_folders(target.parent)
    os.link(source, target)
    sync_folder(target.parent)


def rename_into_place(file: BinaryIO, target: Path) -> None:
    """Give a temporary file its name, replacing what had it."""
    source = settle(file)
    make_folders(target.parent)
    source.replace(target)
    sync_folder(target.parent)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that appears complete or not at all, replacing what had its name."""
    target = path.absolute()
    with temporary_file(target.parent) as file:
        file.write(content)
        rename_into_place(file, target)


def make_folders(folder: Path) -> None:
    """Make ``folder`` and its parents, durably."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        try:
            new.mkdir(exist_ok=True)
        except FileExistsError as error:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), new) from error
        sync_folder(new.parent)


def sync_folder(folder: Path) -> None:
    """Flush the names in ``folder`` to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``: one holder among all processes and threads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # Closing is not enough: a child forked meanwhile has the file open too.
            fcntl.flock(file, fcntl.LOCK_UN)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
