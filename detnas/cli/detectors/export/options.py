"""Options of `detnas export`: which detectors, and which files of them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from detnas.errors import UserError
from detnas.lifecycle.later_exports import ExportChoice
from detnas.records.exports import NO_TORCH_INT8, ExportFormat, ExportSettings, FilePrecision

DEFAULTS = ExportSettings()
DEFAULT_TOLERANCE = format(DEFAULTS.tolerance, "f")

ToOption = Annotated[Path, typer.Option("--to", help="Folder to write; created if need be.")]
TrialOption = Annotated[
    int | None,
    typer.Option(
        "--trial",
        min=0,
        help="Number of a trial; if it was fine-tuned, the student after that. Default: what the "
        "search exported.",
    ),
]
BeforeFinetuningOption = Annotated[
    bool,
    typer.Option("--before-finetuning", help="With --trial: its student as the trial left it."),
]
FrontOption = Annotated[
    bool,
    typer.Option("--front", help="All detectors on the Pareto front, a folder each in --to."),
]
BaseOption = Annotated[
    bool, typer.Option("--base", help="The base, to compare with: see 'detnas bench'.")
]
FormatsOption = Annotated[
    str, typer.Option("--format", help="Of mmdet, onnx, openvino and torch, with commas.")
]
PrecisionsOption = Annotated[
    str, typer.Option("--precision", help="Of fp32, fp16 and int8, with commas.")
]
ToleranceOption = Annotated[
    str, typer.Option(help="A file whose mAP lies further below the detector's is marked.")
]
CalibrationImagesOption = Annotated[int, typer.Option(min=1, help="Training images for int8.")]
ScoredImagesOption = Annotated[
    int, typer.Option(min=1, help="Validation images, evenly drawn, that files are scored on.")
]
FixedShapeOption = Annotated[
    bool,
    typer.Option(
        "--fixed-shape", help="Files take one image of one size: for compilers of devices."
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder of the data set here. Default: the search's own."),
]


def chosen_detectors(choice: ExportChoice) -> ExportChoice:
    """Return a choice that does not contradict itself.

    Raises:
        UserError: it does.
    """
    given = {"--trial": choice.trial is not None, "--front": choice.front, "--base": choice.base}
    if len(both := [name for name, is_given in given.items() if is_given]) > 1:
        raise UserError(f"export: {' and '.join(both)} are both given", "give one of them")
    if choice.before_finetuning and choice.trial is None:
        raise UserError("export: --before-finetuning needs a trial", "name it: --trial")
    return choice


def wanted_files(*, formats: str, precisions: str, tolerance: str, **others: Any) -> ExportSettings:
    """Return which files are wanted.

    Args:
        formats: names with commas.
        precisions: likewise.
        tolerance: a fraction.
        others: further fields of `ExportSettings`.

    Raises:
        UserError: an option has no such value, or nothing would be written.
    """
    forms = _named(ExportFormat, formats, "--format")
    each = _named(FilePrecision, precisions, "--precision")
    try:
        return ExportSettings.model_validate(
            {"formats": forms, "precisions": each, "tolerance": tolerance, **others}
        )
    except ValueError as error:
        if NO_TORCH_INT8 in str(error):
            raise UserError(f"--precision: {NO_TORCH_INT8}") from error
        fraction = "write a fraction from 0 to 1, such as 0.01"
        raise UserError(f"--tolerance: {tolerance!r}", fraction) from error


Choice = TypeVar("Choice", bound=StrEnum)


def _named(kind: type[Choice], text: str, option: str) -> tuple[Choice, ...]:
    known = {one.value.lower(): one for one in kind}
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in known]
    if wrong or not names:
        found = wrong[0] if wrong else text
        raise UserError(f"{option}: {found!r}", f"it may be of: {', '.join(known)}")
    return tuple(dict.fromkeys(known[name] for name in names))
