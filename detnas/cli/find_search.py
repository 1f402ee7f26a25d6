"""Which search a command means: by its manifest, or by where it lies in a store."""

from pathlib import Path

from detnas.errors import UserError
from detnas.lifecycle.record import load_search_record
from detnas.runner.opening import OpenedSearch, Overrides, open_search, reopen_search


def find_search(search: str, overrides: Overrides) -> OpenedSearch:
    """Find a search that was begun.

    Args:
        search: path of its manifest, or the folder or URI of the search.
        overrides: what the command line says other than the manifest.

    Raises:
        UserError: there is no such search, or it has not begun.
    """
    path = Path(search)
    if "://" in search or path.is_dir():
        return reopen_search(search)
    if not path.exists():
        raise UserError(
            f"{search}: there is no such file or folder",
            "give a search's manifest, or its folder such as runs/local/searches/digits-0123abcd",
        )
    opened = open_search(path, overrides)
    if load_search_record(opened.store, opened.requests.search) is None:
        there = f" --store {overrides.store}" if overrides.store else ""
        raise UserError(
            f"{search}: its search {opened.uri} has not begun",
            f"begin it: detnas run {search}{there}",
        )
    return opened
