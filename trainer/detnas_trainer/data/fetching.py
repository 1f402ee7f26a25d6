"""Fetches a data set from a store to this machine: what the annotations list, and no more.

A file appears complete or not at all, and one that is here already in the right size is kept, so
that a fetch that was stopped continues from there. The names of images are not trusted: each must
be a valid key of a store, which excludes names that lead out of their folder.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

from detnas.data_identity.files import unicode_forms
from detnas.data_identity.listing import Report
from detnas.own_data.coco_json import DataError, parse_document
from detnas.records.settings import DataLocation, Split
from detnas.resource.transitions import APPLIED_AGAIN
from detnas.store import Store
from detnas.store.base import checked_key
from detnas.store.durable_files import remove_abandoned, sha256_of, temporary_file
from detnas.store.errors import InvalidKey, os_errors

Key = TypeVar("Key")

_WORKERS = 16
_QUEUED = 4 * _WORKERS
_REPORT_SECONDS = 0.5
"""Longest time in seconds between two calls of the report function."""

_INCOMING = ".incoming"
_REMEDY = f"put the file there, or correct spec.dataset {APPLIED_AGAIN}"


def is_in_store(location: DataLocation) -> bool:
    """Whether the data set must be fetched before it can be read."""
    return "://" in location.root


def folder_of(location: DataLocation, cache: Path) -> Path:
    """Where a data set's copy is on this machine: a folder for each root."""
    return cache / "data" / hashlib.sha256(location.root.rstrip("/").encode()).hexdigest()[:16]


class DataFetcher:
    """Copies the files of one data set.

    Args:
        store: whose root is the data set's.
        location: of the files below it.
        folder: for the copies, under the same names.
        report: called with the progress, from the calling thread.
        sizes: bytes of images by their keys, if they are known: then the store is not asked about
            an image that is here in that size.
    """

    def __init__(
        self,
        store: Store,
        location: DataLocation,
        folder: Path,
        report: Report,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        self._sizes = sizes or {}
        self._store = store
        self._location = location
        self._folder = folder
        self._report = report

    def fetch(self, splits: Sequence[Split], digests: Mapping[Split, str]) -> list[str]:
        """Fetch the splits' annotations and images; return the images that are missing.

        Args:
            splits: which ones.
            digests: SHA-256 of annotations, where it is known; others are always fetched.

        Raises:
            DataError: annotations are missing, or a name in them is not allowed.
            StoreError: the store does not serve them.
        """
        with os_errors(self._folder):
            (self._folder / _INCOMING).mkdir(parents=True, exist_ok=True)
            remove_abandoned(self._folder / _INCOMING)
        self._report(0, 0)
        for _ in _in_parallel(lambda split: self._annotations(split, digests.get(split)), splits):
            self._report(0, 0)
        keys = [key for split in splits for key in self._image_keys(split)]
        if self._sizes:
            secrets.SystemRandom().shuffle(keys)  # others may fill the folder at the same time
        return self._images(keys)

    def fetch_images(self, split: Split, names: Iterable[str]) -> list[str]:
        """Fetch these images of a split, and nothing else; return those that are missing.

        Raises:
            DataError: a name is not allowed.
            StoreError: the store does not serve them.
        """
        with os_errors(self._folder):
            (self._folder / _INCOMING).mkdir(parents=True, exist_ok=True)
        prefix = _prefix(self._location, split)
        return self._images([_checked(f"{prefix}{name}", split, f"{name!r}") for name in names])

    def _annotations(self, split: Split, digest: str | None) -> str | None:
        name = self._location.annotations(split)
        path = self._folder / _checked(name, split, "the annotations")
        if digest and path.is_file() and sha256_of(path) == digest:
            return None
        if self._store.size(name) is None:
            raise DataError(f"{split}: {self._store.uri}/{name} does not exist", _REMEDY)
        with os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._store.download_file(name, path)
        return None

    def _image_keys(self, split: Split) -> Iterator[str]:
        annotations, prefix = self._location.annotations(split), _prefix(self._location, split)
        for name in _listed(self._folder / annotations):
            yield _checked(f"{prefix}{name}", split, f"file_name {name!r} of {annotations}")

    def _images(self, keys: list[str]) -> list[str]:
        missing: list[str] = []
        done = 0
        for ended in _in_parallel(self._image, keys):
            missing += [key for key in ended if key is not None]
            done += len(ended)
            self._report(done, len(keys))
        return sorted(missing)

    def _image(self, key: str) -> str | None:
        """Fetch an image unless it is here; return its key where the store has none."""
        path = self._folder / key
        with os_errors(path):
            names = unicode_forms(key)
            if path.is_file() and path.stat().st_size in self._right_sizes(key, names):
                return None
            stored = next(filter(None, map(self._store.get, names)), None)
            if stored is None:
                path.unlink(missing_ok=True)
                return key
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary_file(self._folder / _INCOMING) as file:
                file.write(stored.data)
                file.flush()  # no wait for the disk: what a power cut truncates is fetched again
                Path(file.name).replace(path)
        return None

    def _right_sizes(self, key: str, names: Iterable[str]) -> Iterable[int | None]:
        known = self._sizes.get(key)
        return map(self._store.size, names) if known is None else (known,)


def image_key(location: DataLocation, split: Split, name: str) -> str:
    """Return the key of an image that a split's annotations name."""
    return f"{_prefix(location, split)}{name}"


def _prefix(location: DataLocation, split: Split) -> str:
    folder = location.images(split)
    return f"{folder.removesuffix('/')}/" if folder else ""


def _checked(key: str, split: Split, what: str) -> str:
    try:
        return checked_key(key)
    except InvalidKey as error:
        raise DataError(f"{split}: {what} is not allowed in a store", error.remedy) from error


def _listed(annotations: Path) -> list[str]:
    """Image files in order; none if the annotations are not valid, which their reader reports."""
    try:
        document = parse_document(annotations.read_bytes(), str(annotations))
        return [str(image["file_name"]) for image in document["images"]]
    except (DataError, TypeError, LookupError):
        return []


def _in_parallel(
    work: Callable[[Key], str | None], keys: Iterable[Key]
) -> Iterator[list[str | None]]:
    """Yield results as they come, and an empty list whenever none came for a while.

    A caller that stops iterating does not wait for work that is under way.
    """
    threads = ThreadPoolExecutor(_WORKERS, thread_name_prefix="fetch")
    waiting: set[Future[str | None]] = set()
    try:
        for key in keys:
            waiting.add(threads.submit(work, key))
            while len(waiting) >= _QUEUED:
                ended, waiting = wait(waiting, _REPORT_SECONDS, FIRST_COMPLETED)
                yield [future.result() for future in ended]
        while waiting:
            ended, waiting = wait(waiting, _REPORT_SECONDS, FIRST_COMPLETED)
            yield [future.result() for future in ended]
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
