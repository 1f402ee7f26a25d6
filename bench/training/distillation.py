"""What a distillation step costs over a plain step plus the teacher's forward pass.

    python -m bench.training.distillation [--steps 20] [--size 128] [--batch 8]

Prints medians of one run in which the kinds of step take turns, and their ratio.
"""

import argparse
from decimal import Decimal

import torch

from bench.training.steps import median_seconds, noise_batch, training_step
from detnas.architecture import parse
from detnas.records.settings import DetectorShape, Distillation
from detnas.teachers import SupernetShape, TeacherSpace
from detnas_trainer.detector import build_detector
from detnas_trainer.distillation import Adaptor, Distiller
from detnas_trainer.distillation.box_passes import box_forward, recorded

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
    inputs, samples = noise_batch(arguments.batch, arguments.size, CLASSES)
    with torch.no_grad(), recorded(student.roi_head) as passes:
        student.loss(inputs, samples)
    rois = passes[0].rois
    distiller = Distiller(student, teacher, Distillation(), adaptor)

    def teach() -> None:
        with torch.no_grad():
            box_forward(teacher.roi_head, teacher.extract_feat(inputs), rois)

    kinds = {
        "plain": training_step(student, lambda: student.loss(inputs, samples)),
        "teacher": teach,
        "distil": training_step(student, lambda: distiller.loss(inputs, samples), adaptor),
    }
    seconds = median_seconds(kinds, arguments.steps)
    for name, taken in seconds.items():
        print(f"{name:8s} {1000 * taken:8.1f} ms")
    ratio = seconds["distil"] / (seconds["plain"] + seconds["teacher"])
    print(f"distillation step over (plain step + teacher forward): {ratio:.3f} (aim: at most 1.15)")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20, help="measured steps of each kind")
    parser.add_argument("--size", type=int, default=128, help="side of the images, in pixels")
    parser.add_argument("--batch", type=int, default=8, help="images a step")
    return parser.parse_args()


if __name__ == "__main__":
    main()
