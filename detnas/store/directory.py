"""A store in a folder of a file system that has hard links and locks."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from detnas.store.base import (
    RESERVED_FOLDER,
    StoredObject,
    checked_key,
    checked_prefix,
    probe_conditional_writes,
)
from detnas.store.durable_files import (
    exclusive_lock,
    link_into_place,
    remove_abandoned,
    rename_into_place,
    temporary_file,
)
from detnas.store.errors import AlreadyExists, NotFound, VersionConflict, os_errors

_LOCK_DIGITS = 2


class DirectoryStore:
    """Objects as files below ``root``, which is made on the first write.

    An object is written to a temporary file and only then named: linked, where it may not
    exist yet, or renamed over its predecessor.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uri = root.as_uri()
        self._own = root / RESERVED_FOLDER
        self._temporary = self._own / "temporary"

    def get(self, key: str) -> StoredObject | None:
        """Return the object, or None if there is none; its version is its SHA-256."""
        path = self._path(key)
        with os_errors(path):
            try:
                data = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None
        return StoredObject(data, hashlib.sha256(data).hexdigest())

    def put(self, key: str, data: bytes) -> None:
        """Write unconditionally."""
        path = self._path(key)
        with os_errors(path), temporary_file(self._temporary) as file:
            file.write(data)
            with self._locked(key):
                rename_into_place(file, path)

    def put_if_absent(self, key: str, data: bytes) -> None:
        """Create the object, or raise ``AlreadyExists``."""
        path = self._path(key)
        with os_errors(path), temporary_file(self._temporary) as file:
            file.write(data)
            try:
                link_into_place(file, path)
            except FileExistsError:
                self._accept_equal(key, data)

    def _accept_equal(self, key: str, data: bytes) -> None:
        stored = self.get(key)
        if stored is None or stored.data != data:
            raise AlreadyExists(f"{self.uri}/{key} already exists with other content")

    def put_if_match(self, key: str, data: bytes, version: str) -> None:
        """Replace the object read as ``version``, or raise ``VersionConflict``."""
        path = self._path(key)
        with os_errors(path), temporary_file(self._temporary) as file:
            file.write(data)
            with self._locked(key):
                stored = self.get(key)
                if stored is not None and stored.data == data:
                    return
                if stored is None or stored.version != version:
                    raise VersionConflict(f"{self.uri}/{key} was changed since it was read")
                rename_into_place(file, path)

    def list(self, prefix: str) -> Iterator[str]:
        """Yield, sorted, the keys below the folder ``prefix``."""
        top = self.root / checked_prefix(prefix)
        with os_errors(top):
            keys = sorted(
                (Path(folder) / name).relative_to(self.root).as_posix()
                for folder, _, names in os.walk(top, onerror=_unless_absent)
                for name in names
            )
        return (key for key in keys if not key.startswith(RESERVED_FOLDER))

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield, sorted, the names of the folders right below ``prefix``."""
        top = self.root / checked_prefix(prefix)
        with os_errors(top):
            try:
                names = sorted(entry.name for entry in os.scandir(top) if entry.is_dir())
            except (FileNotFoundError, NotADirectoryError):
                names = []
        return (name for name in names if f"{prefix}{name}/" != RESERVED_FOLDER)

    def copy(self, source: str, target: str) -> None:
        """Write an object's content as another object."""
        if self.size(source) is None:
            raise NotFound(f"{self.uri}/{source} does not exist")
        self.upload_file(target, self._path(source))

    def delete(self, key: str) -> None:
        """Delete the object; an absent one is fine."""
        path = self._path(key)
        with os_errors(path):
            if path.is_file():
                with self._locked(key):
                    path.unlink(missing_ok=True)

    def size(self, key: str) -> int | None:
        """Return the object's size in bytes, or None if there is none."""
        path = self._path(key)
        with os_errors(path):
            return path.stat().st_size if path.is_file() else None

    def upload_file(self, key: str, path: Path) -> None:
        """Copy a local file into the store."""
        target = self._path(key)
        with os_errors(target), path.open("rb") as source, temporary_file(self._temporary) as file:
            shutil.copyfileobj(source, file, 1 << 20)
            with self._locked(key):
                rename_into_place(file, target)

    def download_file(self, key: str, path: Path) -> None:
        """Copy an object to a local file, which appears complete or not at all."""
        origin = self._path(key)
        if self.size(key) is None:
            raise NotFound(f"{self.uri}/{key} does not exist")
        with os_errors(path), origin.open("rb") as source, temporary_file(path.parent) as file:
            shutil.copyfileobj(source, file, 1 << 20)
            rename_into_place(file, path)

    def probe(self) -> None:
        """Remove dead writers' temporary files; check that create-only is honoured."""
        with os_errors(self.root):
            remove_abandoned(self._temporary)
        probe_conditional_writes(self)

    def _path(self, key: str) -> Path:
        return self.root / checked_key(key)

    def _locked(self, key: str) -> AbstractContextManager[None]:
        # A fixed set of lock files: one for each key could never be deleted safely.
        name = hashlib.sha256(key.encode()).hexdigest()[:_LOCK_DIGITS]
        return exclusive_lock(self._own / "locks" / name)


def _unless_absent(error: OSError) -> None:
    # A folder that may not be read must never look like an empty one.
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error
