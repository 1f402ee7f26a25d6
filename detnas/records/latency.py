"""Latencies that H counts (`search.objective: Latency`): what is compared, and what was measured.

A detector and the base take turns in one process, so that what else slows the machine slows both:
their ratio is C / C_base. It is measured once for each architecture, resolution and device, and
every later job of the search reads it, so that equal detectors have equal values.
"""

import hashlib
import json
from datetime import datetime
from typing import Annotated

from pydantic import Field

from detnas.architecture import Architecture
from detnas.records.settings import DetectorShape, Resolution
from detnas.schema import Schema

DeviceName = Annotated[str, Field(max_length=200)]
Milliseconds = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]


class RelativeLatency(Schema):
    """Time of one image at batch 1, and that of the base at the same resolution, in turns.

    Attributes:
        milliseconds: of the detector: the base's, times the median of the turns' ratios.
        base_milliseconds: of the base, the median of its runs.
        device: name of the GPU or the processor.
    """

    milliseconds: Milliseconds
    base_milliseconds: Milliseconds
    device: DeviceName

    @property
    def relative(self) -> float:
        """C / C_base."""
        return self.milliseconds / self.base_milliseconds

    def beside(self, base_milliseconds: float) -> "RelativeLatency":
        """The same ratio to another measurement of the base, to compare times of several jobs."""
        return self.model_copy(
            update={
                "milliseconds": self.relative * base_milliseconds,
                "base_milliseconds": base_milliseconds,
            }
        )


class TimedArchitecture(Schema):
    """What a latency depends on, beside device and resolution.

    Attributes:
        architecture: the backbone.
        detector: shape of neck and heads.
        classes: number of classes.
    """

    architecture: Architecture
    detector: DetectorShape
    classes: int

    def digest(self, base: "TimedArchitecture", device: str) -> str:
        """SHA-256 that names its latencies relative to a base on a device."""
        parts = [one.model_dump_json(exclude_defaults=True) for one in (self, base)]
        return hashlib.sha256(json.dumps([*parts, device]).encode()).hexdigest()


class LatencyComparison(Schema):
    """What a job compares the latency of its detector with.

    Attributes:
        folder: key of the folder of the search's latencies.
        base: the base's backbone.
        detector: shape of the base's neck and heads.
    """

    folder: str
    base: Architecture
    detector: DetectorShape


class LatencyDevice(Schema):
    """`latencies/device.json`: the only device whose latencies count, that of the first job.

    Attributes:
        device: name of the GPU or the processor.
    """

    device: DeviceName


class LatencyRecord(Schema):
    """`latencies/<digest>-<resolution>.json`: a measurement; the first one is kept.

    Attributes:
        timed: what was measured.
        base: what it is relative to.
        resolution: of the images.
        latency: of both.
        measured: when.
    """

    timed: TimedArchitecture
    base: TimedArchitecture
    resolution: Resolution
    latency: RelativeLatency
    measured: datetime
