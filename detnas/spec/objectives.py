"""`spec.objectives`: the limits within which detectors of the front are recommended."""

from typing import Annotated

from pydantic import Field, model_validator

from detnas.schema import Fraction, Positive, Schema

MAX_OBJECTIVES = 8
"""Most objectives of a search: the status names a detector for each."""

NO_LIMIT = "it limits nothing; give maxLatencyMs, maxFlops or minMap"


class DetectorLimits(Schema):
    """What a detector is needed for: limits that it has to keep."""

    name: Annotated[str, Field(min_length=1, max_length=48)] | None = Field(
        None, description="Shown beside the recommendation. Default: the limits."
    )
    device: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        None,
        description="Device whose latencies count, as the export or `detnas bench` names it; "
        "the number of threads may be left out while only one was measured. Default: the only one "
        "with latencies, of exported files if there are any.",
    )
    max_latency_ms: Annotated[Fraction, Field(gt=0)] | None = Field(
        None, description="Longest time of one image, in milliseconds."
    )
    max_flops: Positive | None = Field(None, description="Most FLOPs of one image.")
    min_map: Annotated[Fraction, Field(gt=0, le=1)] | None = Field(
        None, description='Lowest mAP, a fraction such as "0.41".'
    )

    @model_validator(mode="after")
    def _limits_something(self) -> "DetectorLimits":
        if self.max_latency_ms is None and self.max_flops is None and self.min_map is None:
            raise ValueError(NO_LIMIT)
        return self

    @property
    def needs_latency(self) -> bool:
        """Whether only detectors whose latency was measured can fit."""
        return self.max_latency_ms is not None or self.device is not None

    @property
    def limits(self) -> str:
        """The limits in words, such as ``12 ms, mAP of at least 40 %``."""
        parts = []
        if self.max_latency_ms is not None:
            parts.append(f"{self.max_latency_ms.normalize():f} ms")
        if self.max_flops is not None:
            parts.append(f"{self.max_flops / 1e9:.4g} GFLOPs")
        if self.min_map is not None:
            parts.append(f"mAP of at least {(100 * self.min_map).normalize():f} %")
        where = f" on {self.device}" if self.device else ""
        return ", ".join(parts) + where
