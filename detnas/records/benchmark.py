"""What `detnas bench` measures of exported files on a machine: its output as JSON."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from detnas.records.exports import ExportFormat, FileLatency, FilePrecision
from detnas.records.settings import Resolution
from detnas.schema import Count, Positive, Schema

THROTTLED_ABOVE = 0.1
"""A drift above this suggests that the machine slowed down meanwhile."""


class BenchmarkedFile(Schema):
    """One exported file, as it ran on this machine.

    Attributes:
        file: its path, as given.
        format: what loads it.
        precision: what it computes with.
        sha256: of its content, by which an export in a store is recognised; of an OpenVINO IR,
            whose graph does not tell detectors apart, of its .bin.
        bytes: its size, of an OpenVINO IR with its .bin.
        runtime: package and version that ran it.
        resolution: most pixels of an image's sides, the longer one first.
        latency: of one image.
        warm_up: runs before those that were timed.
        drift: median of the last third of the runs over that of the first third, less 1.
        map: mAP on the annotated images, a fraction; None without annotations.
        ap50: AP at IoU 0.5, likewise.
    """

    file: str
    format: ExportFormat
    precision: FilePrecision
    sha256: str
    bytes: Count
    runtime: str
    resolution: Resolution
    latency: FileLatency
    warm_up: Count
    drift: Annotated[float, Field(gt=-1, allow_inf_nan=False)]
    map: float | None = None
    ap50: float | None = None

    @property
    def fps(self) -> float:
        """Images per second, as the paper's tables state it."""
        return 1000 / self.latency.median

    @property
    def is_throttled(self) -> bool:
        """Whether the machine seems to have slowed down during the runs."""
        return self.drift > THROTTLED_ABOVE


class Benchmark(Schema):
    """What was measured on one machine.

    Attributes:
        device: name of the processor.
        threads: that each runtime could use.
        measured: when.
        images: different images that the latency was measured with; 0 if it was noise.
        annotated: images that mAP is of; 0 without annotations.
        files: in the order given; they took turns, image by image.
    """

    device: str
    threads: Positive
    measured: datetime
    images: Count
    annotated: Count = 0
    files: tuple[BenchmarkedFile, ...]
