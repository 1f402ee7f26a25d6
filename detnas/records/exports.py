"""The files of an export: what is requested, and what was measured on each."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from detnas.schema import Count, Flag, Fraction, Positive, Schema, added


class ExportFormat(StrEnum):
    """What an exported detector is loaded by."""

    MMDET = "Mmdet"
    ONNX = "Onnx"
    OPENVINO = "OpenVINO"
    TORCH = "Torch"


class FilePrecision(StrEnum):
    """Numbers that a file's layers compute with; boxes are computed in 32 bits in all of them."""

    FP32 = "FP32"
    FP16 = "FP16"
    INT8 = "INT8"


_NONE = {(ExportFormat.TORCH, FilePrecision.INT8)}
"""What is never written, and left out where it is one of several that are requested."""


NO_TORCH_INT8 = (
    "format Torch has no precision INT8, so nothing would be written; add FP32 or FP16 to "
    "precisions, or Onnx or OpenVINO to formats"
)


class ExportSettings(Schema):
    """Which files an export writes, and what is expected of them."""

    formats: Annotated[tuple[ExportFormat, ...], Field(min_length=1, max_length=4)] = Field(
        (ExportFormat.MMDET,),
        description="Formats beside mmdet's own folder, which is always written: `Onnx` (runs in "
        "onnxruntime), `OpenVINO` (its IR), `Torch` (torch.export). Each file takes images and "
        "returns boxes.",
    )
    precisions: Annotated[tuple[FilePrecision, ...], Field(min_length=1, max_length=3)] = Field(
        (FilePrecision.FP32,),
        description="Precisions of each of these formats. INT8 is post-training quantisation; "
        "`Torch` has none.",
    )
    tolerance: Annotated[Fraction, Field(le=1)] = Field(
        Decimal("0.01"),
        description="A file whose mAP lies further below the detector's on the same images is "
        "kept, but marked.",
    )
    calibration_images: Positive = Field(
        64, description="Training images that the quantisation of INT8 is calibrated with."
    )
    scored_images: Positive = added(
        1,
        1000,
        description="Validation images, evenly drawn, that each file is scored on, if there are "
        "more.",
    )
    fixed_shape: Flag = added(
        1,
        default=False,
        description="Files take one image at a time, padded to the detector's size, as compilers "
        "for devices need it, instead of any number of images of any size.",
    )

    @model_validator(mode="after")
    def _writes_something(self) -> "ExportSettings":
        if not self.wanted and set(self.formats) != {ExportFormat.MMDET}:
            raise ValueError(NO_TORCH_INT8)
        return self

    @property
    def wanted(self) -> tuple[tuple[ExportFormat, FilePrecision], ...]:
        """Format and precision of each file beside mmdet's folder."""
        return tuple(
            (form, precision)
            for form in dict.fromkeys(self.formats)
            if form is not ExportFormat.MMDET
            for precision in dict.fromkeys(self.precisions)
            if (form, precision) not in _NONE
        )

    @property
    def calibrates(self) -> bool:
        """Whether a file is quantised, for which training images are needed."""
        quantised = {ExportFormat.ONNX, ExportFormat.OPENVINO}
        return FilePrecision.INT8 in self.precisions and not quantised.isdisjoint(self.formats)


class FileLatency(Schema):
    """Time of one image at batch 1, in milliseconds; decoding and resizing are not counted.

    Attributes:
        median: over the runs.
        p90: what nine of ten runs do not exceed.
        runs: timed, after a few that were not.
        threads: that the runtime could use.
        device: name of the processor.
    """

    median: float
    p90: float
    runs: Positive
    threads: Positive
    device: str

    @property
    def where(self) -> str:
        """Device and threads, such as ``AMD EPYC 9654, 4 threads``: fewer are another device."""
        return on_threads(self.device, self.threads)


def on_threads(processor: str, threads: int) -> str:
    """Name of a processor of which so many threads compute."""
    return f"{processor}, {threads} thread{'' if threads == 1 else 's'}"


class ExportedFile(Schema):
    """One file of an exported folder, and what was measured on it.

    Attributes:
        path: relative to the folder; an OpenVINO IR is named by its .xml.
        format: what loads it.
        precision: what it computes with.
        batch: images that it takes at once; None for any number.
        height: the input's height in pixels, if the file takes no other.
        width: the input's width, likewise.
        least_side: least pixels of the input's sides; smaller images are padded.
        bytes: size of the file, with all others that belong to it.
        map: mAP of the file itself on validation images; None if it was not measured.
        map_error: standard error of that mAP over the images.
        latency: None if it was not measured.
        remark: why the file should not be used without thought; empty if nothing is wrong.
        images: validation images that mAP is of; None in files of earlier versions, where they are
            all of them.
        difference: mAP less that of the detector in mmdet on the same images.
        difference_error: standard error of that difference, from a paired bootstrap.
    """

    path: str
    format: ExportFormat
    precision: FilePrecision = FilePrecision.FP32
    batch: Positive | None = None
    height: Positive | None = None
    width: Positive | None = None
    least_side: Positive = 1
    bytes: Count = 0
    map: float | None = None
    map_error: float | None = None
    latency: FileLatency | None = None
    remark: str = ""
    images: Positive | None = added(1)
    difference: float | None = added(1)
    difference_error: float | None = added(1)
