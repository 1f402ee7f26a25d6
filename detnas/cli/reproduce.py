"""`detnas reproduce`: every search of a folder, and the paper's tables beside their results."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from detnas.cli.benchmarks import read_benchmark
from detnas.cli.find_search import StoreOption
from detnas.cli.run import FAILED, STOPPED, open_runnable, run_to_end
from detnas.cli.terminal import console as console_for
from detnas.cli.terminal import say, show_error
from detnas.errors import UserError
from detnas.records.benchmark import Benchmark
from detnas.reproduction.measuring import FinishedSearch, read_finished
from detnas.reproduction.searches import FolderSearch, check_rows, end_like, load_searches
from detnas.reproduction.tables import load_tables
from detnas.reproduction.writing import write_tables
from detnas.runner.opening import Overrides
from detnas.runner.stopping import StopRequest, stop_on_signals


def reproduce(
    folder: Annotated[Path, typer.Argument(help="Folder of manifests, with a folder tables.")],
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder for the tables. Default: that of FOLDER.")
    ] = None,
    parallel: Annotated[
        int | None,
        typer.Option("--parallel", min=1, help="Concurrent trials. Default: each manifest's."),
    ] = None,
    bench: Annotated[
        list[Path] | None,
        typer.Option(
            help="Output of 'detnas bench -o json' of these searches' exports, for the column FPS; "
            "may be repeated."
        ),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Run every search of a folder, once each, and write the paper's tables beside ours.

    The tables are tables.md and tables.json. If it is stopped, the same command continues; what is
    finished is only read. Searches with equal teachers share their pool. One that fails does not
    stop the others.

    Exit codes: 0 all searches ended, 1 one failed, 2 a file cannot be used; stopped: 129, 130, 143.

    Examples:
        detnas reproduce examples/ablations

        detnas reproduce examples/ablations --store s3://bucket/ablations --to results

        detnas reproduce examples/ablations --bench gpu.json
    """
    searches, tables = load_searches(folder), load_tables(folder)
    check_rows(tables, searches)
    benchmarks = tuple(map(read_benchmark, bench or ()))
    runs = _Runs(Overrides(store, parallelism=parallel), benchmarks)
    with stop_on_signals() as stop:
        for search in searches:
            runs.run(search, stop)
    for place in write_tables(to or folder, tables, runs.finished, runs.failed):
        say(f"written: {place}")
    if runs.failed:
        raise typer.Exit(FAILED)


class _Runs:
    """The searches that have run.

    Attributes:
        finished: those that ended, by their names.
        failed: why the others did not.
    """

    def __init__(self, overrides: Overrides, benchmarks: Sequence[Benchmark]) -> None:
        self.finished: dict[str, FinishedSearch] = {}
        self.failed: dict[str, str] = {}
        self._overrides = overrides
        self._benchmarks = benchmarks

    def run(self, search: FolderSearch, stop: StopRequest) -> None:
        """Run or continue one; its failure is recorded.

        Raises:
            typer.Exit: the user stopped it.
        """
        say(f"{search.path.name}: {search.name}")
        try:
            overrides = self._overrides.with_finetune(self._end(search))
            opened = open_runnable(search.path, overrides)
            run_to_end(opened, console_for(), stop)
            self.finished[search.name] = read_finished(opened, self._benchmarks)
        except UserError as error:
            show_error(error)
            self.failed[search.name] = str(error)
        except typer.Exit as ended:
            if ended.exit_code >= STOPPED:
                raise
            self.failed[search.name] = "its run failed; run the manifest alone for the reason"

    def _end(self, search: FolderSearch) -> Mapping[str, str]:
        if (other := search.like_winner_of) is None:
            return {}
        if other not in self.finished:
            raise UserError(
                f"{search.name} waits for {other}, which failed", "run the command again"
            )
        return end_like(self.finished[other].state)
