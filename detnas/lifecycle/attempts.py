"""The attempts at a job, as its folder in the store shows them."""

import contextlib
from dataclasses import dataclass

from detnas.records import keys
from detnas.records.progress import Progress
from detnas.store import Store
from detnas.store.artifacts import load_record
from detnas.store.errors import CorruptRecord


def attempt_numbers(store: Store, folder: str, name: str | None = None) -> list[int]:
    """Return, rising, the numbers of the attempts; with ``name``, of those that have this file."""
    prefix = f"{folder}/attempts/"
    found = (key.removeprefix(prefix).split("/", 1) for key in store.list(prefix))
    return sorted({int(n) for n, file in found if n.isdecimal() and name in (None, file)})


@dataclass(frozen=True, slots=True)
class Attempts:
    """What the attempts at a job have come to.

    Attributes:
        number: how many there were, as far as the store knows.
        progress: what the latest that said anything said last.
        has_result: the job's result is there.
        is_asked: the job's request is there, as it is unless the store was emptied.
    """

    number: int = 0
    progress: Progress | None = None
    has_result: bool = False
    is_asked: bool = True


def read_attempts(store: Store, folder: str) -> Attempts:
    """Read what the attempts at the job in ``folder`` have come to, in two requests at most."""
    listed = set(store.list(f"{folder}/"))
    prefix = f"{folder}/attempts/"
    files = (key.removeprefix(prefix) for key in listed if key.startswith(prefix))
    found = [file.split("/", 1) for file in files if "/" in file]
    numbers = {int(number) for number, _ in found if number.isdecimal()}
    said = [int(n) for n, file in found if n.isdecimal() and file == "progress.json"]
    progress = None
    if said:
        key = f"{keys.attempt_folder(folder, max(said))}/progress.json"
        with contextlib.suppress(CorruptRecord):  # it is for people only: no job stops for it
            progress = load_record(store, key, Progress)
    return Attempts(
        number=max(numbers, default=0),
        progress=progress,
        has_result=keys.result_key(folder) in listed,
        is_asked=keys.request_key(folder) in listed,
    )


def newest_progress(store: Store, folder: str) -> Progress | None:
    """Return what the latest attempt that said anything said last."""
    return read_attempts(store, folder).progress
