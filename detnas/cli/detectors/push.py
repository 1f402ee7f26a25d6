"""`detnas push`: an exported folder to the Hugging Face Hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from detnas.cli.find_search import NamespaceOption, StoreOption, find_search
from detnas.cli.output import Format, FormatOption, print_lines, print_record, write_record
from detnas.cli.terminal import say
from detnas.errors import UserError
from detnas.hub import CARD, check_upload, folder_files, upload
from detnas.lifecycle.reading.state import SearchReader
from detnas.records.results import Outcome
from detnas.runner.opening import OpenedSearch, Overrides
from detnas.store.artifacts import fetch_artifact


def push(
    source: Annotated[
        str,
        typer.Argument(
            help="An exported folder, or a search: its manifest, folder, URI, or name in the store."
        ),
    ],
    repository: Annotated[str, typer.Argument(help="owner/name on the Hub.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the files and check them; upload nothing.")
    ] = False,
    private: Annotated[
        bool, typer.Option("--private", help="Create a repository that only its owner sees.")
    ] = False,
    store: StoreOption = None,
    namespace: NamespaceOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Put an exported detector on the Hugging Face Hub, its model card included.

    The repository is created if there is none. The files go up in one commit; repeated with the
    same files, nothing is uploaded. The token is that of 'hf auth login', or HF_TOKEN; the server
    that of HF_ENDPOINT.

    Examples:
        detnas push runs/local/searches/digits-0123abcd my-team/digits --dry-run

        detnas push exported my-team/street-detector --private
    """
    folder = Path(source)
    if (folder / CARD).is_file():
        files = folder_files(folder)
    else:
        files = _exported_files(find_search(source, Overrides(store, namespace)))
    check_upload(repository, files)
    if output is Format.TABLE:
        _print_files(files)
    uploaded = None if dry_run else upload(repository, files, private=private)
    if output is not Format.TABLE:
        sizes = {name: path.stat().st_size for name, path in files.items()}
        record = {"repository": repository, "private": private, "files": sizes, "url": uploaded}
        (print_record if dry_run else write_record)(record, output)
    elif uploaded is None:
        say(f"dry run: nothing was uploaded to {repository}")
    else:
        say(f"uploaded: {uploaded}")


def _exported_files(search: OpenedSearch) -> dict[str, Path]:
    """Local copies of the files that a search exported, by name.

    Raises:
        UserError: it has exported none.
    """
    stages = SearchReader(search.store, search.requests).read().final_stages
    export = stages.export if stages is not None else None
    if export is None or export.outcome is not Outcome.SUCCEEDED:
        raise UserError(
            f"{search.uri} has exported no detector yet",
            "finish it with 'detnas run', or see 'detnas status'",
        )
    return {name: fetch_artifact(search.store, artifact) for name, artifact in export.files.items()}


def _print_files(files: Mapping[str, Path]) -> None:
    table = Table("file", "kB", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    sizes = {name: path.stat().st_size for name, path in files.items()}
    for name, size in {**sizes, "total": sum(sizes.values())}.items():
        table.add_row(name, f"{size / 1000:,.1f}")
    print_lines(table)
