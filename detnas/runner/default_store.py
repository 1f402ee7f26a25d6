"""The store of a manifest that names none: the folder `runs` beside it."""

from dataclasses import dataclass
from pathlib import Path

from detnas.lifecycle.record import load_search_record
from detnas.store import Store, open_store

DEFAULT_STORE = "runs"


@dataclass(frozen=True, slots=True)
class FoundStore:
    """A store that was not named.

    Attributes:
        store: it.
        notice: what people should know of the choice; empty where it is the usual one.
    """

    store: Store
    notice: str = ""


def default_store(folder: Path, search: str) -> FoundStore:
    """Return the store beside a manifest, unless its search began in the working directory's.

    That is where earlier versions put a search; it continues there.

    Args:
        folder: of the manifest, absolute.
        search: key of the search's folder.
    """
    beside, here = folder / DEFAULT_STORE, Path.cwd() / DEFAULT_STORE
    usual = open_store(beside.as_uri())
    if here == beside or load_search_record(usual, search) is not None:
        return FoundStore(usual)
    earlier = open_store(here.as_uri())
    record = load_search_record(earlier, search)
    if record is None or _belongs_to_another(record.folder, folder):
        return FoundStore(usual)
    return FoundStore(
        earlier,
        f"this search began in {here} and continues there; new ones lie beside their manifests. "
        f"To use it from any directory, move that folder to {beside}, if nothing is there yet",
    )


def _belongs_to_another(began_with: str, folder: Path) -> bool:
    """Whether it is the search of another copy of the manifest, which is still in its place."""
    return began_with != str(folder) and Path(began_with).is_dir()
