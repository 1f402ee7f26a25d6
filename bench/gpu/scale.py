"""What is measured: detectors of the paper's size, or thin ones to try the bench itself."""

from dataclasses import dataclass
from decimal import Decimal

from detnas.architecture import Architecture, Family, parse
from detnas.records.settings import DetectorShape, Precision, Resolution, Training
from detnas.spec.base import Model, model_architecture
from detnas.teachers import SupernetShape, TeacherSpace


@dataclass(frozen=True)
class Scale:
    """Sizes of everything.

    Attributes:
        device: ``cuda`` or ``cpu``.
        thin: whether speeds say nothing.
        student: that trains plainly, and under the largest teacher.
        base: parent of the trial that is timed.
        supernet: channels of the pool at width 1.0.
        space: of its teachers.
        detector: around all backbones.
        size: of the images.
        batch: images a step.
        classes: of the detectors.
        rounds: timed steps of each kind.
    """

    device: str
    thin: bool
    student: Architecture
    base: Architecture
    supernet: SupernetShape
    space: TeacherSpace
    detector: DetectorShape
    size: Resolution
    batch: int = 4
    classes: int = 80
    rounds: int = 15

    @property
    def padded(self) -> tuple[int, int]:
        """Width and height of a batch, in pixels."""
        step = self.detector.pad_divisor
        return (-(-self.size.width // step) * step, -(-self.size.height // step) * step)

    @property
    def workers(self) -> int:
        """Processes that load images."""
        return 1 if self.thin else 4

    def training(self, precision: Precision = Precision.BFLOAT16, **changes: object) -> Training:
        """Settings of a step."""
        settings = {"epochs": 1, "learning_rate": Decimal("0.0001"), "batch_size": self.batch}
        return Training(**{**settings, "precision": precision, **changes})


def full_scale(device: str) -> Scale:
    """R50, R101 and R101×1.5 at 1333×800, batch 4."""
    return Scale(
        device=device,
        thin=False,
        student=model_architecture(Model.R50),
        base=model_architecture(Model.R101),
        supernet=SupernetShape(),
        space=TeacherSpace(),
        detector=DetectorShape(),
        size=Resolution(width=1333, height=800),
    )


def thin_scale(device: str) -> Scale:
    """A ResNet of four Basic blocks and a supernet of five, at 96×64."""
    thin = parse("[(8, 8)], [(8, 16)], [(16, 16)], [(16, 32)]", stem=8)
    return Scale(
        device=device,
        thin=True,
        student=thin,
        base=thin,
        supernet=SupernetShape(
            family=Family.BASIC, stem=8, inner=(8, 8, 16, 16), outputs=(10, 16, 16, 32), neck=16
        ),
        space=TeacherSpace(
            min_depths=(1, 1, 1, 1), max_depths=(1, 1, 2, 1), widths=(Decimal(1), Decimal("1.5"))
        ),
        detector=DetectorShape(neck=16, fc=32, proposals=50, roi_samples=32, anchor_scale=4),
        size=Resolution(width=96, height=64),
        classes=3,
        rounds=1,
    )
