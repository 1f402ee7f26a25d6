"""What a distillation step costs over a plain step plus the teacher's forward pass.

    python bench/distillation.py [--steps 20] [--size 128] [--batch 8]

Prints medians of one run in which the kinds of step take turns, and their ratio.
"""

import argparse
import time
from collections.abc import Callable
from decimal import Decimal
from statistics import median

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from detnas.architecture import parse
from detnas.records.settings import DetectorShape, Distillation
from detnas.teachers import SupernetShape, TeacherSpace
from detnas_trainer.detector import build_detector
from detnas_trainer.distillation import Adaptor, Distiller
from detnas_trainer.distillation.recording import box_forward, recorded

SHAPE = DetectorShape(neck=32, fc=128, proposals=100, roi_samples=64, anchor_scale=4)
STUDENT = parse(
    "[(16, 16)-(16, 16)], [(32, 32)-(32, 32)], [(64, 64)-(64, 64)], [(128, 128)-(128, 128)]",
    stem=16,
)
SUPERNET = SupernetShape(stem=16, inner=(16, 32, 64, 128), outputs=(32, 64, 128, 256), neck=32)
TEACHERS = TeacherSpace(max_depths=(2, 2, 3, 2), widths=(Decimal("1.0"), Decimal("1.5")))
CLASSES = 10


def main() -> None:
    arguments = _arguments()
    torch.manual_seed(0)
    student = build_detector(STUDENT, SHAPE, CLASSES).train()
    largest = TEACHERS.largest
    neck = SUPERNET.neck_width(largest)
    teacher = build_detector(SUPERNET.architecture(largest), SHAPE, CLASSES, neck).eval()
    teacher.requires_grad_(requires_grad=False)
    adaptor = Adaptor(SHAPE.neck, neck)
    inputs, samples = _batch(arguments.batch, arguments.size)
    with torch.no_grad(), recorded(student.roi_head) as passes:
        student.loss(inputs, samples)
    rois = passes[0].rois
    distiller = Distiller(student, teacher, Distillation(), adaptor)
    optimiser = torch.optim.SGD(distiller.parameters(), lr=1e-4, momentum=0.9)

    def plain() -> None:
        _step(optimiser, student.loss(inputs, samples))

    def teach() -> None:
        with torch.no_grad():
            box_forward(teacher.roi_head, teacher.extract_feat(inputs), rois)

    def distil() -> None:
        _step(optimiser, distiller.loss(inputs, samples))

    seconds = timed({"plain": plain, "teacher": teach, "distil": distil}, arguments.steps)
    for name, taken in seconds.items():
        print(f"{name:8s} {1000 * taken:8.1f} ms")
    ratio = seconds["distil"] / (seconds["plain"] + seconds["teacher"])
    print(f"distillation step over (plain step + teacher forward): {ratio:.3f}")


def timed(kinds: dict[str, Callable[[], None]], steps: int) -> dict[str, float]:
    """Median seconds of each kind of step; they take turns, after three unmeasured rounds."""
    taken: dict[str, list[float]] = {name: [] for name in kinds}
    for turn in range(steps + 3):
        for name, step in kinds.items():
            start = time.perf_counter()
            step()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn >= 3:
                taken[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in taken.items()}


def _step(optimiser: torch.optim.Optimizer, losses: dict[str, torch.Tensor]) -> None:
    optimiser.zero_grad()
    terms = [
        sum(value) if isinstance(value, list) else value
        for name, value in losses.items()
        if "loss" in name
    ]
    sum(terms).backward()
    optimiser.step()


def _batch(images: int, size: int) -> tuple[torch.Tensor, list[DetDataSample]]:
    samples = []
    shape = {
        "img_shape": (size, size),
        "batch_input_shape": (size, size),
        "pad_shape": (size, size),
    }
    for _ in range(images):
        sample = DetDataSample(metainfo=shape)
        corners = torch.rand(5, 2) * (size - 40)
        sample.gt_instances = InstanceData(
            bboxes=torch.cat([corners, corners + 12 + 24 * torch.rand(5, 2)], dim=1),
            labels=torch.randint(CLASSES, (5,)),
        )
        sample.ignored_instances = InstanceData(
            bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long)
        )
        samples.append(sample)
    return torch.randn(images, 3, size, size), samples


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20, help="measured steps of each kind")
    parser.add_argument("--size", type=int, default=128, help="side of the images, in pixels")
    parser.add_argument("--batch", type=int, default=8, help="images a step")
    return parser.parse_args()


if __name__ == "__main__":
    main()
