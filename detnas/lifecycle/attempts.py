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
    prefix = f"{folder}/attempts/"
    found = [key.removeprefix(prefix).split("/", 1) for key in list(store.list(prefix))]
    return sorted({int(n) for n, file in found if n.isdecimal() and name in (None, file)})


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
    prefix = f"{folder}/attempts/"
    files = (key.removeprefix(prefix) for key in listed if key.startswith(prefix))
    found = [file.split("/", 1) for file in files if "/" in file]
    numbers = {int(number) for number, _ in found if number.isdecimal()}
    with_progress = [int(n) for n, file in found if n.isdecimal() and file == "progress.json"]
    progress = None
    if with_progress:
        key = f"{keys.attempt_folder(folder, max(with_progress))}/progress.json"
        with contextlib.suppress(CorruptRecord):  # it is for people only
            progress = load_record(store, key, Progress)
    return Attempts(
        number=max(numbers, default=0),
        progress=progress,
        has_result=keys.result_key(folder) in listed,
        is_requested=keys.request_key(folder) in listed,
    )


def latest_progress(store: Store, folder: str) -> Progress | None:
    """Return the latest progress of any attempt at a job; None if there is none."""
    return read_attempts(store, folder).progress
