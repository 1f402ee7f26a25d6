"""A thin supernet of each family, with every tensor random so that no zero hides a mistake."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import pytest
import torch
from mmdet.structures import DetDataSample
from torch import Tensor

from detnas.architecture import Family
from detnas.records.settings import DetectorShape, HeadKind
from detnas.teachers import SupernetShape, Teacher, TeacherSpace
from detnas_trainer.detector import build_detector, load_detector
from detnas_trainer.supernet.elastic import ElasticDetector
from detnas_trainer.supernet.slicing import extract
from tests.trainer.samples import make_batch

CLASSES = 3
DETECTOR = DetectorShape(neck=8, fc=12, proposals=40, roi_samples=16, anchor_scale=4)
SPACE = TeacherSpace(
    min_depths=(1, 1, 1, 1),
    max_depths=(2, 2, 3, 1),
    widths=(Decimal("0.5"), Decimal("0.75"), Decimal("1.0")),
)


@dataclass
class Supernet:
    """A supernet with what it takes to make any of its subnets."""

    shape: SupernetShape
    space: TeacherSpace
    detector: Any
    detector_shape: DetectorShape = DETECTOR
    classes: int = CLASSES

    @property
    def elastic(self) -> ElasticDetector:
        return ElasticDetector(self.detector, self.shape, self.space)

    def static(self, teacher: Teacher) -> Any:
        own = extract(self.detector.state_dict(), self.shape, self.space, teacher)
        return load_detector(
            self.shape.architecture(teacher),
            self.detector_shape,
            CLASSES,
            own,
            self.shape.neck_width(teacher),
        )


def make_supernet(
    family: Literal[Family.BASIC, Family.BOTTLENECK], head: HeadKind = HeadKind.STANDARD
) -> Supernet:
    shape = SupernetShape(
        family=family, stem=8, inner=(8, 8, 12, 16), outputs=(16, 12, 16, 20), neck=12
    )
    torch.manual_seed(1)
    largest = SPACE.largest
    detector_shape = DETECTOR.model_copy(update={"head": head})
    detector = build_detector(
        shape.architecture(largest), detector_shape, CLASSES, shape.neck_width(largest)
    )
    generator = torch.Generator().manual_seed(2)
    for name, tensor in detector.state_dict().items():
        if tensor.dim() == 1:
            noise = torch.rand(tensor.shape, generator=generator)
            tensor.copy_(noise + 0.5 if name.endswith(("weight", "var")) else noise - 0.5)
    return Supernet(shape, SPACE, detector, detector_shape)


@pytest.fixture(params=[Family.BASIC, Family.BOTTLENECK], ids=str)
def supernet(request: pytest.FixtureRequest) -> Supernet:
    return make_supernet(request.param)


@pytest.fixture
def basic_supernet() -> Supernet:
    return make_supernet(Family.BASIC)


@pytest.fixture
def batch() -> tuple[Tensor, list[DetDataSample]]:
    return make_batch(5)


@pytest.fixture
def batches() -> Callable[[int], list[dict[str, Any]]]:
    """Raw batches, before the data preprocessor; the argument is a seed."""

    def make(seed: int) -> list[dict[str, Any]]:
        generator = torch.Generator().manual_seed(seed)
        return [
            {
                "inputs": [
                    torch.randint(0, 256, (3, side, side), generator=generator).byte()
                    for _ in range(2)
                ],
                "data_samples": make_batch(seed, side)[1],
            }
            for side in (64, 96)
        ]

    return make


@pytest.fixture
def mixed() -> Teacher:
    """A subnet that differs from the supernet in every slot that may differ."""
    return Teacher(
        depths=(1, 2, 2, 1),
        widths=tuple(map(Decimal, ("0.75", "0.5", "1.0", "0.75", "0.5", "0.75"))),
    )
