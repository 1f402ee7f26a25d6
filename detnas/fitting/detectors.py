"""The base detector and its pool of teachers that suit a machine and the number of images."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from detnas.architecture import Architecture, parse
from detnas.architecture.blocks import Family
from detnas.fitting.machine import Machine
from detnas.own_data.facts import DataFacts
from detnas.records.settings import DetectorShape
from detnas.spec.base import Model, model_architecture
from detnas.spec.teachers import Teachers

THIN = "thin"
"""A ResNet-18 with an FPN, each a quarter as wide as usual."""

ModelName = Literal["thin", "faster-rcnn-r18-fpn", "faster-rcnn-r50-fpn", "faster-rcnn-r101-fpn"]

_MANY = 5000
"""Training images from which a ResNet-50 learns more than a ResNet-18 does."""

_THIN = "[(16, 16)-(16, 16)], [(32, 32)-(32, 32)], [(64, 64)-(64, 64)], [(128, 128)-(128, 128)]"
_BASIC_POOL: dict[str, Any] = {
    "depths": {"min": [1, 1, 1, 1], "max": [2, 2, 2, 2]},
    "widths": ["1.0", "1.25", "1.5"],
}


@dataclass(frozen=True)
class Chosen:
    """A base detector, as sections of a manifest.

    Attributes:
        model: its name.
        base: fields of `spec.base` that name it.
        supernet: fields of `spec.teachers.supernet`; empty for the paper's.
        space: other fields of `spec.teachers` that span the pool.
        shape: fields of `spec.detector` that make it thin.
    """

    model: str
    base: dict[str, Any]
    supernet: dict[str, Any]
    space: dict[str, Any]
    shape: dict[str, Any]

    @property
    def is_thin(self) -> bool:
        """Whether it is the small one for processors."""
        return self.model == THIN

    @property
    def architecture(self) -> Architecture:
        """Its backbone."""
        return (
            parse(_THIN, Family.BASIC, 16)
            if self.is_thin
            else model_architecture(Model(self.model))
        )

    @property
    def teachers(self) -> Teachers:
        """Its pool, with the three phases of the paper, whose lengths are left open."""
        shape = {"supernet": self.supernet} if self.supernet else {}
        phases = [{"epochs": 1, "learningRate": "0.01"}] * 3
        return Teachers.model_validate({**shape, **self.space, "phases": phases})

    def detector(self, more: dict[str, Any]) -> DetectorShape:
        """Neck and heads.

        Args:
            more: further fields of `spec.detector`.
        """
        return DetectorShape.model_validate({**self.shape, **more})


def suitable_model(machine: Machine, facts: DataFacts) -> str:
    """Return the base that a machine can search, of the usual ones."""
    if not machine.gpus:
        return THIN
    return (Model.R50 if facts.training_images >= _MANY else Model.R18).value


def detector(model: str) -> Chosen:
    """Return a base and its pool.

    Args:
        model: one of `ModelName`.
    """
    if model == THIN:
        return Chosen(
            model,
            {"family": "Basic", "stem": 16, "architecture": _THIN},
            _basic_supernet(16, 32),
            _BASIC_POOL,
            {"neck": 32, "fc": 128},
        )
    if model == Model.R18:
        return Chosen(model, {"model": model}, _basic_supernet(64, 256), _BASIC_POOL, {})
    depths = {"min": [2, 2, 2, 2], "max": [3, 4, 23 if model == Model.R101 else 6, 3]}
    return Chosen(model, {"model": model}, {}, {"depths": depths}, {})


def _basic_supernet(width: int, neck: int) -> dict[str, Any]:
    """A ResNet of Basic blocks; stage 1 differs from the stem, so that it has a projection."""
    inner = [width << stage for stage in range(4)]
    return {
        "family": "Basic",
        "stem": width,
        "inner": inner,
        "outputs": [width + max(2, width // 8), *inner[1:]],
        "neck": neck,
    }


def fraction(value: float | Decimal, digits: int = 4) -> str:
    """Return a number as a manifest has it: a plain decimal in a text."""
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
