"""What this machine has fetched before, named by content and shared by all its processes."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from detnas.records.artifacts import Artifact
from detnas.store.base import Store
from detnas.store.durable_files import exclusive_lock, remove_abandoned, sha256_of
from detnas.store.errors import CorruptArtifact, os_errors

_MAX_BYTES = 20 << 30
"""Bytes kept; beyond them the least recently used files are deleted."""

_IN_USE = 6 * 3600
"""Seconds since its last fetch in which a file is never removed: a job may still read it."""


def default_cache_folder() -> Path:
    """Return ``$DETNAS_CACHE``, else ``~/.cache/detnas``."""
    chosen = os.environ.get("DETNAS_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "detnas"


class ArtifactCache:
    """A folder of verified files, each named by its SHA-256.

    It may be deleted at any time; ``largest`` bytes of it are kept.
    """

    def __init__(
        self,
        folder: Path | None = None,
        largest: int = _MAX_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder or default_cache_folder()
        self._largest = largest
        self._clock = clock

    def fetch(self, store: Store, artifact: Artifact) -> Path:
        """Return the local file with the artifact's content, downloading it where needed.

        Raises:
            NotFound: the store has no such object.
            CorruptArtifact: the object's content is another; it is not kept.
        """
        path = self.folder / f"{artifact.sha256}{PurePosixPath(artifact.key).suffix}"
        with os_errors(path), exclusive_lock(self.folder / "locks" / artifact.sha256[:2]):
            if not path.is_file() or difference(path, artifact):
                self._download(store, artifact, path)
            os.utime(path, (self._clock(), self._clock()))
            self._trim()
        return path

    def _download(self, store: Store, artifact: Artifact, path: Path) -> None:
        incoming = self.folder / "incoming"
        incoming.mkdir(exist_ok=True)
        remove_abandoned(incoming)
        arrived = incoming / artifact.sha256  # one process at a time: we hold its lock
        try:
            store.download_file(artifact.key, arrived)
            wrong = difference(arrived, artifact)
            if wrong:
                remedy = "restore the object, or delete it and what was made from it"
                raise CorruptArtifact(f"{store.uri}/{artifact.key} is damaged: {wrong}", remedy)
            arrived.replace(path)
        finally:
            arrived.unlink(missing_ok=True)

    def _trim(self) -> None:
        files = sorted(self._files(), key=lambda file: file[1].st_mtime)
        total = sum(status.st_size for _, status in files)
        for path, status in files:
            if total <= self._largest or self._clock() - status.st_mtime < _IN_USE:
                return
            path.unlink(missing_ok=True)
            total -= status.st_size

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process trims too
                if path.is_file():
                    yield path, path.stat()


def difference(path: Path, artifact: Artifact) -> str | None:
    """Return how a file's content differs from what its record says, or None."""
    size = path.stat().st_size
    if size != artifact.size:
        return f"{artifact.size} bytes wanted, {size} found"
    digest = sha256_of(path)
    return None if digest == artifact.sha256 else f"{artifact.sha256} wanted, {digest} found"
