"""Cost of a supernet step against a plain one; run `python -m bench.training.supernet`.

Two ratios, each from alternating steps of one run: the supernet at its largest size over a plain
detector of the same architecture, and at a random subnet over a static detector of that subnet.
"""

import argparse
import json

import torch

from bench.training.steps import median_seconds, noise_batch, training_step
from detnas.architecture import Family
from detnas.records.settings import DetectorShape
from detnas.teachers import SupernetShape, Teacher, TeacherSpace
from detnas_trainer.detector import build_detector, load_detector
from detnas_trainer.supernet.elastic import ElasticDetector
from detnas_trainer.supernet.sampling import subnet_at
from detnas_trainer.supernet.slicing import extract

SHAPE = SupernetShape(
    family=Family.BASIC, stem=16, inner=(24, 32, 64, 128), outputs=(32, 32, 64, 128), neck=32
)
SPACE = TeacherSpace(min_depths=(1, 1, 1, 1), max_depths=(2, 2, 2, 2))
DETECTOR = DetectorShape(neck=48, fc=128, proposals=100, roi_samples=64)
CLASSES = 10
SIDE = 128


def compare(teacher: Teacher, arguments: argparse.Namespace) -> dict[str, float]:
    """A step of a subnet in the supernet, against its own static detector."""
    torch.manual_seed(0)
    supernet = build_detector(SHAPE.architecture(SPACE.largest), DETECTOR, CLASSES)
    own = extract(supernet.state_dict(), SHAPE, SPACE, teacher)
    static = load_detector(
        SHAPE.architecture(teacher), DETECTOR, CLASSES, own, SHAPE.neck_width(teacher)
    )
    supernet.to(arguments.device).train()
    static.to(arguments.device).train()
    elastic = ElasticDetector(supernet, SHAPE, SPACE)
    inputs, samples = noise_batch(arguments.batch, SIDE, CLASSES, arguments.device)
    kinds = {
        "elastic": training_step(supernet, lambda: elastic.loss(teacher, inputs, samples)),
        "plain": training_step(static, lambda: static.loss(inputs, samples)),
    }
    seconds = median_seconds(kinds, arguments.rounds)
    times = {f"{name}_s": taken for name, taken in seconds.items()}
    return {**times, "ratio": seconds["elastic"] / seconds["plain"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="timed steps of each kind")
    parser.add_argument("--batch", type=int, default=8, help="images a step")
    parser.add_argument("--seed", type=int, default=0, help="chooses the random subnets")
    parser.add_argument("--subnets", type=int, default=3, help="random subnets to time")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    print(json.dumps({"largest": compare(SPACE.largest, arguments), "allowed": 1.05}), flush=True)
    for number in range(arguments.subnets):
        teacher = subnet_at(arguments.seed, number, SPACE)
        times = compare(teacher, arguments)
        subnet = {"depths": teacher.depths, "widths": [str(width) for width in teacher.widths]}
        print(json.dumps({"subnet": subnet, **times, "allowed": 1.15}), flush=True)


if __name__ == "__main__":
    main()
