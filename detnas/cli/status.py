"""`detnas status`: where a search stands, from the store alone."""

from typing import Annotated

import typer
from rich.console import Console

from detnas.cli.find_search import find_search
from detnas.cli.output import Format, FormatOption, print_record
from detnas.cli.search_options import NamespaceOption, StoreOption
from detnas.lifecycle.state import SearchReader
from detnas.lifecycle.status import search_status
from detnas.runner.opening import Overrides
from detnas.runner.run_lock import running_process
from detnas.runner.tables import status_table


def status(
    search: Annotated[
        str, typer.Argument(help="A manifest, or the folder or URI of a search in the store.")
    ],
    store: StoreOption = None,
    namespace: NamespaceOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Say where a search stands; also while another process runs it.

    All that is said comes from the store, so it can be asked from any machine that reads it.

    Examples:
        detnas status search.yaml

        detnas status runs/local/searches/digits-0123abcd

        detnas status search.yaml -o json
    """
    opened = find_search(search, Overrides(store, namespace))
    state = SearchReader(opened.store, opened.requests).read()
    found = search_status(opened, state)
    if output is Format.TABLE:
        console = Console()
        console.print(status_table(found))
        if found.active and running_process(opened.local) is None:
            console.print(
                "no process of this machine runs it; 'detnas run' goes on where it stopped",
                soft_wrap=True,
            )
    else:
        print_record(found.model_dump(mode="json", by_alias=True), output)
