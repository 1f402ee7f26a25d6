"""The command `detnas export`."""

from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console

from detnas.cli.detectors.export.options import (
    DEFAULT_TOLERANCE,
    DEFAULTS,
    BaseOption,
    BeforeFinetuningOption,
    CalibrationImagesOption,
    DataOption,
    FixedShapeOption,
    FormatsOption,
    FrontOption,
    PrecisionsOption,
    ScoredImagesOption,
    ToleranceOption,
    ToOption,
    TrialOption,
    chosen_detectors,
    wanted_files,
)
from detnas.cli.detectors.export.results import lack_files, print_results
from detnas.cli.find_search import NamespaceOption, SearchArgument, StoreOption, find_search
from detnas.cli.output import Format, FormatOption
from detnas.cli.run import FAILED, STOPPED
from detnas.cli.terminal import console as console_for
from detnas.cli.terminal import say, show_error
from detnas.lifecycle.later_exports import ExportChoice, LaterExport, later_exports
from detnas.records.results import ExportResult
from detnas.runner.errors import Interrupted, RunError
from detnas.runner.export_run import ExportRun, download
from detnas.runner.opening import Overrides
from detnas.runner.stopping import stop_on_signals


def export(
    search: SearchArgument,
    to: ToOption,
    trial: TrialOption = None,
    before_finetuning: BeforeFinetuningOption = False,
    front: FrontOption = False,
    base: BaseOption = False,
    formats: FormatsOption = "mmdet",
    precisions: PrecisionsOption = "fp32",
    tolerance: ToleranceOption = DEFAULT_TOLERANCE,
    calibration_images: CalibrationImagesOption = DEFAULTS.calibration_images,
    scored_images: ScoredImagesOption = DEFAULTS.scored_images,
    fixed_shape: FixedShapeOption = False,
    data: DataOption = None,
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
    choice = chosen_detectors(ExportChoice(trial, front, base, before_finetuning))
    settings = wanted_files(
        formats=formats,
        precisions=precisions,
        tolerance=tolerance,
        calibration_images=calibration_images,
        scored_images=scored_images,
        fixed_shape=fixed_shape,
    )
    opened = find_search(search, Overrides(store, namespace))
    exports = later_exports(opened, choice, settings)
    _say_which_student(choice, exports)
    console = console_for(err=True)
    results: dict[str, ExportResult] = {}
    with stop_on_signals() as stop:
        run = ExportRun(opened, stop, data)
        for one in exports:
            folder = to / one.name if front else to
            results[str(folder)] = _exported(run, one, folder, console)
    print_results(results, output, console)
    if lack_files(results.values(), settings):
        raise typer.Exit(FAILED)


def _say_which_student(choice: ExportChoice, exports: Sequence[LaterExport]) -> None:
    if choice.trial is not None and exports[0].is_finetuned:
        say(
            f"trial {choice.trial} was fine-tuned: that student is exported; --before-finetuning "
            "exports it as the trial left it",
            err=True,
        )


def _exported(run: ExportRun, one: LaterExport, folder: Path, console: Console) -> ExportResult:
    """Run an export, and copy its files into a folder.

    Raises:
        typer.Exit: it failed, or was stopped; the user was told.
    """
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
