"""Latency of several exported files on this machine, which take turns."""

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from detnas.exported.detector import ExportedDetector
from detnas.exported.preparing import Image
from detnas.optional_imports import find_module
from detnas.records.exports import ExportFormat, FileLatency

WARM_UP = 5
NOISE = 0
"""Seed of the image that is used where none is given."""

_PACKAGES = {
    ExportFormat.ONNX: "onnxruntime",
    ExportFormat.OPENVINO: "openvino",
    ExportFormat.TORCH: "torch",
    ExportFormat.MMDET: "mmdet",
}


@dataclass(frozen=True, slots=True)
class FileRuns:
    """Seconds of each timed run of a file, in the order in which they were done."""

    seconds: tuple[float, ...]

    @property
    def drift(self) -> float:
        """Median of the last third of the runs over that of the first third, less 1."""
        third = max(1, len(self.seconds) // 3)
        return median(self.seconds[-third:]) / median(self.seconds[:third]) - 1

    def latency(self, threads: int, device: str) -> FileLatency:
        """The same in milliseconds.

        Args:
            threads: that the runtime could use.
            device: name of the processor.
        """
        ordered = sorted(self.seconds)
        runs = len(ordered)
        return FileLatency(
            median=1000 * median(ordered),
            p90=1000 * ordered[-(-9 * runs // 10) - 1],
            runs=runs,
            threads=threads,
            device=device,
        )


def time_in_turns(
    detectors: Sequence[ExportedDetector],
    images: Sequence[Image],
    runs: int,
    warm_up: int = WARM_UP,
    progressed: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[FileRuns]:
    """Time detectors at batch 1; reading and resizing the images is not counted.

    Args:
        detectors: after each image the next of them has its turn.
        images: taken in turn.
        runs: timed runs of each.
        warm_up: runs of each before, untimed.
        progressed: called after each run of all of them.
        clock: seconds.
    """
    prepared = [[one.prepare(image) for image in images] for one in detectors]
    seconds: list[list[float]] = [[] for _ in detectors]
    for run in range(warm_up + runs):
        for detector, inputs, times in zip(detectors, prepared, seconds, strict=True):
            batch = [inputs[run % len(inputs)]]
            start = clock()
            detector.detect_prepared(batch)
            taken = clock() - start
            if run >= warm_up:
                times.append(taken)
        progressed()
    return [FileRuns(tuple(times)) for times in seconds]


def noise(detectors: Iterable[ExportedDetector]) -> Image:
    """An image of noise, as large as the largest input."""
    forms = [one.description.input for one in detectors]
    shape = (max(form.short_side for form in forms), max(form.long_side for form in forms), 3)
    return np.random.default_rng(NOISE).integers(0, 256, shape, dtype=np.uint8)


def parts_of(path: Path, form: ExportFormat) -> list[Path]:
    """The files that belong to an exported file, itself first, the one with the weights last."""
    weights = path.with_suffix(".bin")
    return [path, weights] if form is ExportFormat.OPENVINO and weights.is_file() else [path]


def digest_of(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def runtime_of(form: ExportFormat) -> str:
    """Package and version that runs a format here."""
    package = _PACKAGES[form]
    version = getattr(find_module(package), "__version__", "")
    return f"{package} {version}".rstrip()
