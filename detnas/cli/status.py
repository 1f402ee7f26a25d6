"""`detnas status`: the state of a search, from the store alone."""

from datetime import UTC, datetime

from detnas.cli.find_search import NamespaceOption, SearchArgument, StoreOption, find_search
from detnas.cli.output import Format, FormatOption, print_lines, print_record
from detnas.cli.terminal import say
from detnas.data_identity import data_changed
from detnas.lifecycle.reading.state import SearchReader
from detnas.lifecycle.search_status import search_status
from detnas.lifecycle.status import SearchStatus
from detnas.plan.stages import Phase
from detnas.runner.opening import OpenedSearch, Overrides
from detnas.runner.run_lock import running_process
from detnas.runner.tables import status_table
from detnas.runner.unchanged_data import changes_since


def status(
    search: SearchArgument,
    store: StoreOption = None,
    namespace: NamespaceOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show the state of a search, also while another process runs it.

    Everything is read from the store, so any machine that can read it will do. On a machine with
    the data set of a search that 'detnas run' started, changes of the data are shown too.

    Examples:
        detnas status search.yaml

        detnas status runs/local/searches/digits-0123abcd

        detnas status search.yaml -o json

        detnas status s3://bucket/prefix/team-a/searches/digits-0123abcd

        detnas status digits --store s3://bucket/prefix -n team-a
    """
    opened = find_search(search, Overrides(store, namespace))
    state = SearchReader(opened.store, opened.requests).read()
    found = search_status(opened, state)
    if output is Format.TABLE:
        print_lines(status_table(found, datetime.now(UTC)))
        if note := _runner_note(opened, found):
            say(note)
        if not opened.on_cluster and (changes := changes_since(opened)):
            say(f"'detnas run' refuses to continue: {data_changed(changes)}")
    else:
        print_record(found.model_dump(mode="json", by_alias=True), output)


def _runner_note(search: OpenedSearch, found: SearchStatus) -> str:
    """Which process runs it, which the store does not record."""
    if search.on_cluster:
        if found.phase is Phase.SUCCEEDED:
            return ""
        metadata = search.requests.manifest.metadata
        return (
            "an operator runs it on a cluster: kubectl describe detnas "
            f"{metadata.name} --namespace {metadata.namespace} shows whether it still exists, "
            "waits or is suspended"
        )
    if found.active and running_process(search.local) is None:
        return "no process of this machine runs it; 'detnas run' continues it"
    return ""
