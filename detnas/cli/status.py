"""`detnas status`: where a search stands, from the store alone."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from detnas.cli.output import Format, FormatOption, print_record
from detnas.cli.search_options import NamespaceOption, StoreOption
from detnas.errors import UserError
from detnas.records.keys import search_record_key
from detnas.runner.opening import (
    OpenedSearch,
    Overrides,
    SearchRecord,
    open_search,
    reopen_search,
)
from detnas.runner.state import SearchReader
from detnas.runner.status import search_status
from detnas.runner.tables import status_table
from detnas.store.artifacts import load_record


def status(
    search: Annotated[
        str, typer.Argument(help="A manifest, or the folder or URI of a search in the store.")
    ],
    store: StoreOption = None,
    namespace: NamespaceOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Say where a search stands; also while another process runs it.

    Examples:
        detnas status search.yaml

        detnas status runs/local/searches/digits-0123abcd

        detnas status search.yaml -o json
    """
    opened = _opened(search, Overrides(store, namespace))
    state = SearchReader(opened.store, opened.requests).read()
    found = search_status(opened, state)
    if output is Format.TABLE:
        Console().print(status_table(found))
    else:
        print_record(found.model_dump(mode="json", by_alias=True), output)


def _opened(search: str, overrides: Overrides) -> OpenedSearch:
    path = Path(search)
    if "://" in search or path.is_dir():
        return reopen_search(search)
    opened = open_search(path, overrides)
    if not _begun(opened):
        raise UserError(
            f"{search}: its search {opened.uri} has not begun", f"begin it: detnas run {search}"
        )
    return opened


def _begun(opened: OpenedSearch) -> bool:
    key = search_record_key(opened.requests.search)
    return load_record(opened.store, key, SearchRecord) is not None
