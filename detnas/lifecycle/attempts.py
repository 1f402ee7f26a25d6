"""The attempts at a job, as its folder in the store shows them."""

from detnas.records import keys
from detnas.records.progress import Progress
from detnas.store import Store
from detnas.store.artifacts import load_record


def attempt_numbers(store: Store, folder: str, name: str | None = None) -> list[int]:
    """Return, rising, the numbers of the attempts; with ``name``, of those that have this file."""
    prefix = f"{folder}/attempts/"
    found = (key.removeprefix(prefix).split("/", 1) for key in store.list(prefix))
    return sorted({int(n) for n, file in found if n.isdecimal() and name in (None, file)})


def newest_progress(store: Store, folder: str) -> Progress | None:
    """Return what the latest attempt that said anything said last."""
    numbers = attempt_numbers(store, folder, "progress.json")
    if not numbers:
        return None
    key = f"{keys.attempt_folder(folder, numbers[-1])}/progress.json"
    return load_record(store, key, Progress)
