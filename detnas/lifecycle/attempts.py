"""The attempts at a job, read from its folder in the store."""

import contextlib
from dataclasses import dataclass

from detnas.records import keys
from detnas.records.progress import Progress
from detnas.store import Store
from detnas.store.artifacts import load_record
from detnas.store.errors import CorruptRecord


def attempt_numbers(store: Store, folder: str, name: str | None = None) -> list[int]:
    """Return the sorted numbers of the attempts; with ``name``, of those that have this file."""
    files = keys.attempt_files(folder, store.list(f"{keys.attempts_folder(folder)}/"))
    return sorted(number for number, names in files.items() if name is None or name in names)


@dataclass(frozen=True, slots=True)
class Attempts:
    """The attempts at a job, as far as recorded in the store.

    Attributes:
        number: of the last attempt.
        progress: the latest progress of any attempt.
        has_result: the job's result exists.
        is_requested: the job's request exists, as it does unless the store was emptied.
    """

    number: int = 0
    progress: Progress | None = None
    has_result: bool = False
    is_requested: bool = True


def read_attempts(store: Store, folder: str) -> Attempts:
    """Read the attempts at the job in ``folder``, in two requests at most."""
    listed = set(store.list(f"{folder}/"))
    files = keys.attempt_files(folder, listed)
    with_progress = [number for number, names in files.items() if keys.PROGRESS in names]
    progress = None
    if with_progress:
        key = keys.progress_key(folder, max(with_progress))
        with contextlib.suppress(CorruptRecord):  # it is for people only
            progress = load_record(store, key, Progress)
    return Attempts(
        number=max(files, default=0),
        progress=progress,
        has_result=keys.result_key(folder) in listed,
        is_requested=keys.request_key(folder) in listed,
    )


def latest_progress(store: Store, folder: str) -> Progress | None:
    """Return the latest progress of any attempt at a job; None if there is none."""
    return read_attempts(store, folder).progress
