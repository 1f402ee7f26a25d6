"""`detnas reproduce`: searches of a folder, and the paper's tables beside their results."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from detnas.cli.detectors.benchmarks import read_benchmark
from detnas.cli.find_search import StoreOption
from detnas.cli.run import FAILED, STOPPED, open_runnable, run_to_end
from detnas.cli.terminal import console as console_for
from detnas.cli.terminal import say, show_error
from detnas.errors import UserError
from detnas.records.benchmark import Benchmark
from detnas.reproduction.arms import write_arms
from detnas.reproduction.bases import stored_base
from detnas.reproduction.figures import SearchFigures, load_figures, write_figures
from detnas.reproduction.measuring import read_finished, spec_digest
from detnas.reproduction.plan import check_plan, load_plan
from detnas.reproduction.searches import FolderSearch, check_rows, end_like, load_searches
from detnas.reproduction.tables import load_tables
from detnas.reproduction.time_budget import time_budget
from detnas.reproduction.writing import write_tables
from detnas.runner.opening import Overrides, Sections
from detnas.runner.stopping import StopRequest, stop_on_signals


def reproduce(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER|PLAN",
            help="Folder of manifests, with a folder tables; or a plan of such a folder's searches "
            "with several seeds.",
        ),
    ],
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Folder for the tables. Default: FOLDER, or the plan's results."),
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

    A plan is a YAML file that names such a folder, how many seeds each search runs with, and which
    detectors are compared: they are written as arms.md and arms.json, with differences paired by
    seed. The figures of each finished search are kept in the plan's folder of results, and what is
    there does not run again, also where its store is gone. How long the others will take is
    estimated first, from a measured training step.

    Exit codes: 0 all searches ended, 1 one failed, 2 a file cannot be used; stopped: 129, 130, 143.

    Examples:
        detnas reproduce examples/ablations

        detnas reproduce examples/ablations --store s3://bucket/ablations --to results

        detnas reproduce examples/ablations --bench gpu.json

        detnas reproduce bench/evidence.yaml
    """
    benchmarks = tuple(map(read_benchmark, bench or ()))
    overrides = Overrides(store, parallelism=parallel)
    if source.is_file():
        _reproduce_plan(source, to, overrides, benchmarks)
    else:
        _reproduce_folder(source, to, overrides, benchmarks)


def _reproduce_folder(
    folder: Path, to: Path | None, overrides: Overrides, benchmarks: Sequence[Benchmark]
) -> None:
    searches, tables = load_searches(folder), load_tables(folder)
    check_rows(tables, searches)
    runs = _Runs(overrides, benchmarks)
    with stop_on_signals() as stop:
        for search in searches:
            runs.run(search, search.manifest.spec.search.seed, stop)
    _say_written(write_tables(to or folder, tables, runs.by_search(), runs.failed))
    if runs.failed:
        raise typer.Exit(FAILED)


def _reproduce_plan(
    path: Path, to: Path | None, overrides: Overrides, benchmarks: Sequence[Benchmark]
) -> None:
    loaded = load_plan(path)
    searches, tables = load_searches(loaded.searches), load_tables(loaded.searches)
    check_plan(path, loaded.plan, searches)
    check_rows(tables, searches)
    runs = _Runs(overrides, benchmarks, loaded.results)
    folder = to or loaded.results
    planned = [*loaded.plan.runs(searches)]
    _say_budget([one for one in planned if not runs.is_kept(*one)])
    with stop_on_signals() as stop:
        for search, seed in planned:
            runs.run(search, seed, stop)
            # After each, since all of them may take days.
            written = write_arms(folder, loaded.plan.arms, runs.by_search(), runs.failed)
    _say_written(written)
    if tables:
        _say_written(write_tables(folder, tables, runs.by_search(), runs.failed))
    if runs.failed:
        raise typer.Exit(FAILED)


def _say_budget(left: Sequence[tuple[FolderSearch, int]]) -> None:
    """Write how long the searches will take that are left; without a measurement, why not."""
    if not left:
        return
    say(f"to run: {len(left)}; measuring a training step")
    try:
        budget = time_budget(left)
    except UserError as error:
        say(f"no time budget: {error}")
        return
    total = _rounded(sum(budget.seconds.values()))
    step = budget.seconds_per_image
    say(f"about {total} on {budget.machine}, by {step:.4f} s for an image in training:")
    for name, seconds in budget.seconds.items():
        seeds = budget.seeds[name]
        say(f"  {name}, {seeds} seed{'s' * (seeds > 1)}: {_rounded(seconds)}")


def _rounded(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def _say_written(places: Sequence[Path]) -> None:
    for place in places:
        say(f"written: {place}")


class _Runs:
    """The searches that have run.

    Attributes:
        finished: those that ended, by their names and seeds.
        failed: why the others did not, by names for people.
    """

    def __init__(
        self, overrides: Overrides, benchmarks: Sequence[Benchmark], results: Path | None = None
    ) -> None:
        """Start with none; ``results`` is the folder of kept figures, None to keep none."""
        self.finished: dict[tuple[str, int], SearchFigures] = {}
        self.failed: dict[str, str] = {}
        self._overrides = overrides
        self._benchmarks = benchmarks
        self._results = results

    def by_search(self) -> Mapping[str, Sequence[SearchFigures]]:
        """Those that ended, by their names."""
        found: dict[str, list[SearchFigures]] = {}
        for (name, _), figures in self.finished.items():
            found.setdefault(name, []).append(figures)
        return found

    def is_kept(self, search: FolderSearch, seed: int) -> bool:
        """Whether there is a file of its figures."""
        return self._results is not None and self._place(search, seed).exists()

    def run(self, search: FolderSearch, seed: int, stop: StopRequest) -> None:
        """Run or continue one, unless its figures were kept; its failure is recorded.

        Raises:
            typer.Exit: the user stopped it.
        """
        title = search.name if self._results is None else f"{search.name}, seed {seed}"
        say(f"{search.path.name}: {title}")
        try:
            self.finished[search.name, seed] = self._kept(search, seed) or self._ended(
                search, seed, stop
            )
        except UserError as error:
            show_error(error)
            self.failed[title] = str(error)
        except typer.Exit as ended:
            if ended.exit_code >= STOPPED:
                raise
            self.failed[title] = "its run failed; run the manifest alone for the reason"

    def _ended(self, search: FolderSearch, seed: int, stop: StopRequest) -> SearchFigures:
        overrides = self._overrides.with_sections(self._sections(search, seed))
        opened = open_runnable(search.path, overrides)
        run_to_end(opened, console_for(), stop)
        figures = read_finished(opened, self._benchmarks, spec_digest(search.manifest.spec))
        if self._results is not None:
            write_figures(self._place(search, seed), figures)
        return figures

    def _kept(self, search: FolderSearch, seed: int) -> SearchFigures | None:
        if self._results is None:
            return None
        path = self._place(search, seed)
        figures = load_figures(path)
        if figures is not None and figures.spec_digest != spec_digest(search.manifest.spec):
            raise UserError(
                f"{path} has the figures of another {search.path.name}, which was changed since",
                "move that file away and the search runs again, or undo the change",
            )
        return figures

    def _place(self, search: FolderSearch, seed: int) -> Path:
        assert self._results is not None
        return self._results / f"{search.name}-{seed}.json"

    def _sections(self, search: FolderSearch, seed: int) -> Sections:
        sections: dict[str, Mapping[str, object]] = {"search": {"seed": seed}}
        if (other := search.like_winner_of) is not None:
            sections["finetune"] = end_like(self._needed(search, other, seed))
        if (other := search.base_of) is not None:
            weights = stored_base(self._needed(search, other, seed).uri)
            if weights is None:
                say(f"the store of {other} is gone, so {search.name} trains the base again")
            else:
                sections["base"] = {"weights": weights, "train": None, "zeroInitResidual": None}
        return sections

    def _needed(self, search: FolderSearch, other: str, seed: int) -> SearchFigures:
        if (other, seed) not in self.finished:
            raise UserError(
                f"{search.name} waits for {other}, which failed", "run the command again"
            )
        return self.finished[other, seed]
