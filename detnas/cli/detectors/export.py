"""`detnas export`: detectors of a search as files that run anywhere."""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from detnas.cli.find_search import NamespaceOption, SearchArgument, StoreOption, find_search
from detnas.cli.output import Format, FormatOption, print_lines, print_record
from detnas.cli.run import FAILED, STOPPED
from detnas.cli.terminal import console as console_for
from detnas.cli.terminal import say, show_error
from detnas.errors import UserError
from detnas.lifecycle.later_exports import ExportChoice, LaterExport, later_exports
from detnas.records.exports import (
    NO_TORCH_INT8,
    ExportedFile,
    ExportFormat,
    ExportSettings,
    FilePrecision,
)
from detnas.records.results import ExportResult
from detnas.runner.errors import Interrupted, RunError
from detnas.runner.export_run import ExportRun, download
from detnas.runner.opening import Overrides
from detnas.runner.stopping import stop_on_signals

_DEFAULTS = ExportSettings()


def export(
    search: SearchArgument,
    to: Annotated[Path, typer.Option("--to", help="Folder to write; created if need be.")],
    trial: Annotated[
        int | None,
        typer.Option(
            "--trial",
            min=0,
            help="Number of a trial; if it was fine-tuned, the student after that. Default: what "
            "the search exported.",
        ),
    ] = None,
    before_finetuning: Annotated[
        bool,
        typer.Option("--before-finetuning", help="With --trial: its student as the trial left it."),
    ] = False,
    front: Annotated[
        bool,
        typer.Option("--front", help="All detectors on the Pareto front, a folder each in --to."),
    ] = False,
    base: Annotated[
        bool, typer.Option("--base", help="The base, to compare with: see 'detnas bench'.")
    ] = False,
    formats: Annotated[
        str, typer.Option("--format", help="Of mmdet, onnx, openvino and torch, with commas.")
    ] = "mmdet",
    precisions: Annotated[
        str, typer.Option("--precision", help="Of fp32, fp16 and int8, with commas.")
    ] = "fp32",
    tolerance: Annotated[
        str,
        typer.Option(help="A file whose mAP lies further below the detector's is marked."),
    ] = format(_DEFAULTS.tolerance, "f"),
    calibration_images: Annotated[
        int, typer.Option(min=1, help="Training images for int8.")
    ] = _DEFAULTS.calibration_images,
    scored_images: Annotated[
        int, typer.Option(min=1, help="Validation images, evenly drawn, that files are scored on.")
    ] = _DEFAULTS.scored_images,
    fixed_shape: Annotated[
        bool,
        typer.Option(
            "--fixed-shape", help="Files take one image of one size: for compilers of devices."
        ),
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder of the data set here. Default: the search's own."),
    ] = None,
    store: StoreOption = None,
    namespace: NamespaceOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Write detectors of a search as files that run anywhere, each scored as it is.

    mmdet's folder is always written. Every other file is run by its own runtime over validation
    images; its mAP, size and latency are in detector.json. A file that loses more mAP than the
    tolerance is written all the same, and marked everywhere.

    The search may be finished, running, or on a cluster; the trial's weights must still be kept
    (spec.retention). What was exported before is only copied.

    Exit codes: 0 everything was written, 1 the export failed or a file could not be written, 2 an
    input cannot be used; stopped: 129, 130, 143.

    Examples:
        detnas export search.yaml --to best --format onnx,openvino --precision fp32,int8

        detnas export runs/local/searches/digits-0123abcd --front --to front --format onnx

        detnas export s3://bucket/team-a/searches/parts-0123abcd --trial 7 --to seven --data coco
    """
    given = {"--trial": trial is not None, "--front": front, "--base": base}
    if len(both := [name for name, is_given in given.items() if is_given]) > 1:
        raise UserError(f"export: {' and '.join(both)} are both given", "give one of them")
    if before_finetuning and trial is None:
        raise UserError("export: --before-finetuning needs a trial", "name it: --trial")
    settings = _settings(
        formats=_chosen(ExportFormat, formats, "--format"),
        precisions=_chosen(FilePrecision, precisions, "--precision"),
        tolerance=tolerance,
        calibration_images=calibration_images,
        scored_images=scored_images,
        fixed_shape=fixed_shape,
    )
    opened = find_search(search, Overrides(store, namespace))
    exports = later_exports(opened, ExportChoice(trial, front, base, before_finetuning), settings)
    if trial is not None and exports[0].is_finetuned:
        say(
            f"trial {trial} was fine-tuned: that student is exported; --before-finetuning exports "
            "it as the trial left it",
            err=True,
        )
    console = console_for(err=True)
    results: dict[str, ExportResult] = {}
    with stop_on_signals() as stop:
        run = ExportRun(opened, stop, data)
        for one in exports:
            folder = to / one.name if front else to
            results[str(folder)] = _exported(run, one, folder, console)
    _show(results, output, console)
    if _lacks_files(results.values(), settings):
        raise typer.Exit(FAILED)


def _exported(run: ExportRun, one: LaterExport, folder: Path, console: Console) -> ExportResult:
    """Run an export, and copy its files into a folder."""
    try:
        with console.status(one.name) as status:
            result = run.run(one, lambda text: status.update(f"{one.name}: {text}"))
            status.update(f"{one.name}: copying")
            download(run.store, one, result, folder)
            return result
    except Interrupted:
        say("stopped; the same command continues from here", err=True)
        raise typer.Exit(STOPPED + (run.stop.signal or 0)) from None
    except RunError as error:
        show_error(error)
        raise typer.Exit(FAILED) from error


Choice = TypeVar("Choice", bound=StrEnum)


def _chosen(kind: type[Choice], text: str, option: str) -> tuple[Choice, ...]:
    known = {one.value.lower(): one for one in kind}
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in known]
    if wrong or not names:
        found = wrong[0] if wrong else text
        raise UserError(f"{option}: {found!r}", f"it may be of: {', '.join(known)}")
    return tuple(dict.fromkeys(known[name] for name in names))


def _settings(**given: Any) -> ExportSettings:
    try:
        return ExportSettings(**given)
    except ValueError as error:
        raise _wrong_settings(error, given["tolerance"]) from error


def _wrong_settings(error: ValueError, tolerance: str) -> UserError:
    if NO_TORCH_INT8 in str(error):
        return UserError(f"--precision: {NO_TORCH_INT8}")
    return UserError(f"--tolerance: {tolerance!r}", "write a fraction from 0 to 1, such as 0.01")


def _lacks_files(results: Iterable[ExportResult], settings: ExportSettings) -> bool:
    wanted = set(settings.wanted)
    return any(
        not wanted <= {(file.format, file.precision) for file in result.exported}
        for result in results
    )


def _show(results: dict[str, ExportResult], output: Format, console: Console) -> None:
    if output is not Format.TABLE:
        shown = {folder: _plain(result) for folder, result in results.items()}
        print_record(shown, output)
        return
    table = Table("file", "format", "precision", "MB", "mAP", "less mmdet's", "ms", "remark")
    for folder, result in results.items():
        for file in result.exported or _mmdet_only(result):
            table.add_row(*_cells(folder, file))
    print_lines(table)
    for result in results.values():
        if result.message:
            console.print(result.message, style="yellow", soft_wrap=True, markup=False)


def _plain(result: ExportResult) -> dict[str, object]:
    files = [file.model_dump(mode="json", by_alias=True) for file in result.exported]
    return {"map": result.map, "files": files, "message": result.message}


def _mmdet_only(result: ExportResult) -> tuple[ExportedFile, ...]:
    name = "detector.pth"
    checkpoint = result.files[name]
    return (
        ExportedFile(path=name, format=ExportFormat.MMDET, bytes=checkpoint.size, map=result.map),
    )


def _cells(folder: str, file: ExportedFile) -> tuple[str, ...]:
    score = "not measured" if file.map is None else f"{file.map:.4f}"
    if file.map is not None and file.map_error is not None:
        score += f" ± {file.map_error:.4f}"
    latency = "" if file.latency is None else f"{file.latency.median:.1f}"
    size = f"{file.bytes / 1e6:.2f}"
    return (
        *(f"{folder}/{file.path}", file.format, file.precision, size),
        *(score, _difference(file), latency, file.remark),
    )


def _difference(file: ExportedFile) -> str:
    """To mmdet's detector on the same images, and how many these are."""
    if file.difference is None:
        return ""
    error = "" if file.difference_error is None else f" ± {file.difference_error:.4f}"
    return f"{file.difference:+.4f}{error} on {file.images} images"
