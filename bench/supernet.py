"""Cost of a supernet's training step against a plain detector's; run `python bench/supernet.py`.

Two ratios, each from alternating steps of one run: the supernet at its largest size over a plain
detector of the same architecture, and at a random subnet over a static detector of that subnet.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from detnas.architecture import Family
from detnas.records.settings import DetectorShape
from detnas.teachers import SupernetShape, Teacher, TeacherSpace
from detnas_trainer.detector import build_detector, load_detector
from detnas_trainer.supernet import ElasticDetector, extract, subnet_at

SHAPE = SupernetShape(
    family=Family.BASIC, stem=16, inner=(24, 32, 64, 128), outputs=(32, 32, 64, 128), neck=32
)
SPACE = TeacherSpace(min_depths=(1, 1, 1, 1), max_depths=(2, 2, 2, 2))
DETECTOR = DetectorShape(neck=48, fc=128, proposals=100, roi_samples=64)
CLASSES = 10
SIDE = 128


def batch(size: int, device: str) -> tuple[Tensor, list[DetDataSample]]:
    """Noise with three random boxes an image."""
    samples = []
    for _ in range(size):
        corner = torch.randint(0, SIDE // 2, (3, 2), device=device).float()
        sides = torch.randint(16, SIDE // 2, (3, 2), device=device)
        sample = DetDataSample(
            metainfo={
                "img_shape": (SIDE, SIDE),
                "pad_shape": (SIDE, SIDE),
                "batch_input_shape": (SIDE, SIDE),
                "scale_factor": (1.0, 1.0),
            }
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.cat([corner, corner + sides], 1),
            labels=torch.randint(0, CLASSES, (3,), device=device),
        )
        samples.append(sample)
    return torch.randn(size, 3, SIDE, SIDE, device=device), samples


def step(detector: TwoStageDetector, losses: Callable[[], dict[str, Any]]) -> Callable[[], None]:
    """Forward, backward and update, as a function to be timed."""
    optimiser = torch.optim.SGD(detector.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)

    def run() -> None:
        optimiser.zero_grad()
        total, _ = detector.parse_losses(losses())
        total.backward()
        optimiser.step()

    return run


def ratio(first: Callable[[], None], second: Callable[[], None], rounds: int) -> dict[str, float]:
    """Median seconds of both, run in turn with the same draws, and their ratio."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 2):
        for run, times in zip((first, second), seconds, strict=True):
            torch.manual_seed(turn)
            _wait()
            start = time.perf_counter()
            run()
            _wait()
            times.append(time.perf_counter() - start)
    elastic, plain = (statistics.median(times[2:]) for times in seconds)
    return {"elastic_s": elastic, "plain_s": plain, "ratio": elastic / plain}


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
    inputs, samples = batch(arguments.batch, arguments.device)
    return ratio(
        step(supernet, lambda: elastic.loss(teacher, inputs, samples)),
        step(static, lambda: static.loss(inputs, samples)),
        arguments.rounds,
    )


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


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
