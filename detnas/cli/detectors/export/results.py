"""What `detnas export` prints: each file as it was measured, and what went wrong."""

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table

from detnas.cli.output import Format, print_lines, print_record
from detnas.records.exports import ExportedFile, ExportFormat, ExportSettings
from detnas.records.results import ExportResult


def lack_files(results: Iterable[ExportResult], settings: ExportSettings) -> bool:
    """Whether a file that was wanted could not be written."""
    wanted = set(settings.wanted)
    return any(
        not wanted <= {(file.format, file.precision) for file in result.exported}
        for result in results
    )


def print_results(results: Mapping[str, ExportResult], output: Format, console: Console) -> None:
    """Print exports.

    Args:
        results: by the folders that were written.
        output: form of what goes to standard output.
        console: standard error, for remarks.
    """
    if output is not Format.TABLE:
        print_record({folder: _plain(result) for folder, result in results.items()}, output)
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
    size = result.files[name].size
    return (ExportedFile(path=name, format=ExportFormat.MMDET, bytes=size, map=result.map),)


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
    difference = round(file.difference, 4) + 0.0  # no minus before 0
    return f"{difference:+.4f}{error} on {file.images} images"
