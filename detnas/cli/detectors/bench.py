"""`detnas bench`: latency and mAP of exported files on this machine."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from detnas.cli.output import Format, FormatOption, print_lines, print_record
from detnas.cli.terminal import console, say
from detnas.errors import UserError
from detnas.processors import processor_name, processors
from detnas.records.benchmark import THROTTLED_ABOVE, Benchmark, BenchmarkedFile
from detnas.records.exports import on_threads
from detnas.records.settings import Resolution

if TYPE_CHECKING:  # they import numpy, which only this command needs
    from detnas.exported import ExportedDetector, Metrics
    from detnas.exported.benchmark import FileRuns
    from detnas.exported.preparing import Image

_PICTURES = {".bmp", ".jpeg", ".jpg", ".png", ".webp"}
_TIMED_IMAGES = 10


def bench(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Exported files, such as detector.onnx; of OpenVINO the .xml, of mmdet the .pth."
        ),
    ],
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of photographs, or of the annotated images. Default: noise."),
    ] = None,
    annotations: Annotated[
        Path | None, typer.Option(help="Annotation file in COCO's form: computes mAP on it.")
    ] = None,
    runs: Annotated[int, typer.Option(min=3, help="Timed runs of each file.")] = 50,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of a run. Default: one for each processor.")
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Measure exported files on this machine: latency of one image, and mAP.

    A file needs the runtime of its format (onnxruntime, openvino, torch or mmdet), its folder's
    detector.json, and neither a search nor a store. Files take turns, image by image: other load
    affects all of them alike. Latency is that of network and suppression at batch 1, without
    decoding and resizing. FPS is 1000 over its median.

    Examples:
        detnas bench best/detector.onnx --images photographs

        detnas bench base/detector.onnx best/detector.onnx --threads 1 -o json

        detnas bench best/detector.xml --images val --annotations val.json
    """
    if annotations is not None and images is None:
        raise UserError("bench: --annotations needs their images", "give their folder: --images")
    with _exported_package():
        found = _measure(files, images, annotations, runs, threads or processors())
    if output is Format.TABLE:
        _print_table(found)
    else:
        print_record(found.model_dump(mode="json", by_alias=True), output)
    for one in found.files:
        if one.is_throttled:
            say(
                f"warning: {one.file} was {one.drift:.0%} slower in the last third of its runs "
                f"than in the first (more than {THROTTLED_ABOVE:.0%}): the machine may be "
                "throttling or busy; repeat this when it is idle and cool",
                err=True,
                style="yellow",
            )


@contextmanager
def _exported_package() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        raise UserError("bench: numpy is not installed", "pip install 'detnas[export]'") from error


def _measure(
    files: Sequence[Path],
    images: Path | None,
    annotations: Path | None,
    runs: int,
    threads: int,
) -> Benchmark:
    from detnas.exported import ExportedDetector
    from detnas.exported.benchmark import WARM_UP, noise, time_in_turns

    detectors = [ExportedDetector.load(file, threads) for file in files]
    pictures = _pictures(images) if images is not None else [noise(detectors)]
    with _progress("timing", WARM_UP + runs) as progressed:
        timed = time_in_turns(detectors, pictures, runs, progressed=progressed)
    scored = _Scored()
    if annotations is not None and images is not None:
        scored = _score(detectors, annotations, images)
    metrics = scored.metrics or [None] * len(files)
    device = processor_name()
    rows = zip(files, detectors, timed, metrics, strict=True)
    return Benchmark(
        device=device,
        threads=threads,
        measured=datetime.now(UTC),
        images=len(pictures) if images is not None else 0,
        annotated=scored.images,
        files=tuple(_benchmarked(*row, threads, device) for row in rows),
    )


def _benchmarked(
    file: Path,
    detector: "ExportedDetector",
    runs: "FileRuns",
    metrics: "Metrics | None",
    threads: int,
    device: str,
) -> BenchmarkedFile:
    from detnas.exported.benchmark import WARM_UP, digest_of, parts_of, runtime_of

    form, parts = detector.description.input, parts_of(file, detector.file.format)
    return BenchmarkedFile(
        file=str(file),
        format=detector.file.format,
        precision=detector.file.precision,
        sha256=digest_of(parts[-1]),
        bytes=sum(part.stat().st_size for part in parts),
        runtime=runtime_of(detector.file.format),
        resolution=Resolution(width=form.long_side, height=form.short_side),
        latency=runs.latency(threads, device),
        warm_up=WARM_UP,
        drift=runs.drift,
        map=metrics.map if metrics else None,
        ap50=metrics.ap50 if metrics else None,
    )


def _pictures(folder: Path) -> "list[Image]":
    """The first images of a folder and the folders in it, by path.

    Raises:
        UserError: there is none, or one cannot be read.
    """
    from detnas.exported import read_image

    if not folder.is_dir():
        raise UserError(f"--images {folder} is no folder", "give a folder with photographs")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _PICTURES)
    if not found:
        raise UserError(
            f"--images {folder} has no image", f"it needs one of: {', '.join(sorted(_PICTURES))}"
        )
    return [read_image(path) for path in found[:_TIMED_IMAGES]]


@dataclass(frozen=True, slots=True)
class _Scored:
    """Metrics of each file, and how many images they are of."""

    metrics: "list[Metrics | None] | None" = None
    images: int = 0


def _score(detectors: "Sequence[ExportedDetector]", annotations: Path, folder: Path) -> _Scored:
    from detnas.exported import read_coco, score_detections
    from detnas.exported.measuring import detect_all

    read = [read_coco(annotations, folder, one.description.classes) for one in detectors]
    metrics: list[Metrics | None] = []
    with _progress("scoring", sum(len(coco.images) for coco in read)) as progressed:
        for detector, coco in zip(detectors, read, strict=True):
            found = {}
            for number, detections in detect_all(detector, coco):
                found[number] = detections
                progressed()
            metrics.append(score_detections(found, coco))
    return _Scored(metrics, len(read[0].images))


@contextmanager
def _progress(activity: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on standard error; nothing where that is no terminal."""
    columns = (TextColumn(activity), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    out = console(err=True)
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task(activity, total=total)
        yield lambda: bar.advance(task)


def _print_table(found: Benchmark) -> None:
    headings = ("file", "format", "MB", "median ms", "p90 ms", "FPS", "mAP")
    table = Table(*headings, box=None, pad_edge=False)
    for one in found.files:
        table.add_row(
            one.file,
            f"{one.format} {one.precision}",
            f"{one.bytes / 1e6:.2f}",
            f"{one.latency.median:.2f}",
            f"{one.latency.p90:.2f}",
            f"{one.fps:.1f}",
            "" if one.map is None else f"{one.map:.4f}",
        )
    print_lines(table)
    images = f"{found.images} images" if found.images else "noise: give --images for a real figure"
    where, runs = on_threads(found.device, found.threads), found.files[0].latency.runs
    say(f"{where}; {runs} runs each, {images}")
