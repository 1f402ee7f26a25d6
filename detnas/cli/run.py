"""`detnas run`: an entire search on this machine."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from detnas.cli.find_search import NamespaceOption, StoreOption
from detnas.cli.output import Format, FormatOption, write_record
from detnas.cli.planning.named_files import check_files_to_come
from detnas.cli.report import readable_place
from detnas.cli.terminal import console as console_for
from detnas.cli.terminal import say, show_error
from detnas.data_identity import DataChangedError
from detnas.errors import UserError
from detnas.lifecycle.search_status import search_status
from detnas.lifecycle.status import SearchStatus
from detnas.report import publish_report
from detnas.runner.display import Display
from detnas.runner.errors import AlreadyRunning, Interrupted
from detnas.runner.opening import OpenedSearch, Overrides, open_search
from detnas.runner.search_run import SearchRun
from detnas.runner.stopping import StopRequest, stop_on_signals
from detnas.runner.tables import comparison, finalists, front_table, reasons
from detnas.spec import ManifestError, Problem

FAILED = 1
STOPPED = 128


def run(
    manifest: Annotated[Path, typer.Argument(help="The DetNASSearch, as YAML or JSON.")],
    parallel: Annotated[
        int | None,
        typer.Option("--parallel", min=1, help="Concurrent trials. Default: the manifest's."),
    ] = None,
    store: StoreOption = None,
    namespace: NamespaceOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Run or continue a search on this machine: base, teachers, trials, fine-tuning, baselines,
    export.

    If it is stopped, the same command continues it, and repeats no finished trial.

    Exit codes: 0 exported (the base itself, if no student is better), 1 the search cannot
    continue, 2 the manifest cannot be used; stopped: 129 by closing the terminal, 130 by Ctrl-C,
    143 by SIGTERM.

    Examples:
        detnas run search.yaml

        detnas run search.yaml --parallel 4 --store s3://bucket/experiments

        detnas run search.yaml -o json > status.json     # progress goes to standard error
    """
    search = open_runnable(manifest, Overrides(store, namespace, parallel))
    console = console_for(err=output is not Format.TABLE)
    with stop_on_signals() as stop:
        status = run_to_end(search, console, stop)
    if output is Format.TABLE:
        _print_result(console, status)
    _write_page(console, search)
    if output is not Format.TABLE:
        write_record(status.model_dump(mode="json", by_alias=True), output)


def open_runnable(manifest: Path, overrides: Overrides) -> OpenedSearch:
    """Open the search of a manifest, and check that it can run on this machine.

    Raises:
        UserError: it cannot.
    """
    search = open_search(manifest, overrides)
    _check_data_set(search, manifest)
    check_files_to_come(search, manifest)
    if search.notice:
        say(search.notice, err=True)
    return search


def _check_data_set(search: OpenedSearch, manifest: Path) -> None:
    if search.requests.spec.dataset.source.directory is None:
        message = "missing; volumes and buckets are for a cluster, so name a folder of this machine"
        problem = Problem("spec.dataset.source.directory", message)
        raise ManifestError(f"{manifest}, on this machine,", [problem])


def run_to_end(search: OpenedSearch, console: Console, stop: StopRequest) -> SearchStatus:
    """Run or continue a search until it is exported.

    Raises:
        typer.Exit: it failed, or was stopped; the user was told.
    """
    console.print(f"search {search.uri}", soft_wrap=True, highlight=False, markup=False)
    try:
        with Display(search.store, search.requests.spec, console) as display:
            state = SearchRun(search, display, stop).run()
    except Interrupted:
        console.print("stopped; the same command continues from here", soft_wrap=True)
        raise typer.Exit(STOPPED + (stop.signal or 0)) from None
    except UserError as error:
        show_error(error)
        if not isinstance(error, AlreadyRunning | DataChangedError):  # no job has run
            say(f"logs of this machine: {search.local}", err=True)
        raise typer.Exit(FAILED) from error
    return search_status(search, state)


def _print_result(console: Console, status: SearchStatus) -> None:
    console.print(comparison(status), soft_wrap=True)
    console.print(front_table(status.front, status.front_size), soft_wrap=True)
    for one in status.recommended:
        _print_line(console, f"for {one.objective}: {one.reason}")
    if (several := finalists(status)) is not None:
        console.print(several, soft_wrap=True)
    for name, message in reasons(status):
        _print_line(console, f"{name}: {message}", "" if status.is_certain else "yellow")
    for name, place in {"exported": status.exported_to, "records and logs": status.folder}.items():
        if place:
            _print_line(console, f"{name}: {readable_place(place)}")


def _print_line(console: Console, text: str, style: str = "") -> None:
    console.print(text, style=style, soft_wrap=True, highlight=False, markup=False)


def _write_page(console: Console, search: OpenedSearch) -> None:
    """Write the report; the search has succeeded even if that fails."""
    try:
        message = f"report: {readable_place(publish_report(search.store, search.requests))}"
    except UserError as error:
        message = f"no report: {error}"
    console.print(message, soft_wrap=True, highlight=False, markup=False)
