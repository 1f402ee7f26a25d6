"""The files of a data set on this machine, and their stamps."""

import contextlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unicodedata import normalize

from detnas.records.settings import DataLocation, Split


def annotation_file(location: DataLocation, split: Split) -> Path:
    """Return the path of a split's annotations."""
    return Path(location.root) / location.annotations(split)


def image_folder(location: DataLocation, split: Split) -> Path:
    """Return the folder that the names of a split's images are relative to."""
    return Path(location.root) / location.images(split)


def find_image(folder: Path, name: str) -> Path:
    """Return the file that a name in the annotations means; if there is none, the name as written.

    A file system may store an accented letter as one character where the annotations have two, or
    vice versa; and it stores bytes, which a locale other than UTF-8 decodes differently.
    """
    if name.isascii():
        return folder / name
    others = (os.fsdecode(form.encode()) for form in unicode_forms(name))
    found = (folder / form for form in (name, *others) if (folder / form).exists())
    return next(found, folder / name)


def unicode_forms(name: str) -> tuple[str, ...]:
    """Return the name as written, then with its accented letters as one character and as two."""
    return tuple(dict.fromkeys([name, normalize("NFC", name), normalize("NFD", name)]))


FileStamps = dict[str, tuple[int, int, int]]
"""Size in bytes, and the nanoseconds of both times, by path; a missing file has none."""

_THREADS = 16
"""Concurrent requests to a network volume, each of which takes a fraction of a millisecond."""

_MANY = 2000


def stamps_of(paths: Iterable[Path]) -> FileStamps:
    """Return the stamps of files; a missing or unreadable file has none."""
    wanted = [str(path) for path in paths]
    if len(wanted) < _MANY:
        return _stamps(wanted)
    with ThreadPoolExecutor(_THREADS) as threads:
        parts = threads.map(_stamps, (wanted[n::_THREADS] for n in range(_THREADS)))
        return {path: stamp for part in parts for path, stamp in part.items()}


def newest_change(stamps: FileStamps) -> float:
    """Return when the last of the files was changed, in seconds of the epoch; 0 for none."""
    return max((changed for _, _, changed in stamps.values()), default=0) / 1e9


def _stamps(paths: Iterable[str]) -> FileStamps:
    found = {}
    for path in paths:
        with contextlib.suppress(OSError):
            status = os.stat(path)  # noqa: PTH116  # a Path for each would double the cost
            found[path] = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return found
