"""Training steps to time, and how they are timed: what the benches of a step have in common."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from detnas_trainer.openmmlab import DetDataSample, InstanceData, TwoStageDetector

Step = Callable[[], None]
_UNTIMED = 3


def noise_batch(
    images: int, side: int, classes: int, device: str = "cpu"
) -> tuple[Tensor, list[DetDataSample]]:
    """Square images of noise, with five random boxes each; sides in pixels."""
    metainfo = dict.fromkeys(("img_shape", "pad_shape", "batch_input_shape"), (side, side))
    samples = []
    for _ in range(images):
        sample = DetDataSample(metainfo={**metainfo, "scale_factor": (1.0, 1.0)})
        corners = torch.rand(5, 2, device=device) * side / 2
        sides = side / 8 + torch.rand(5, 2, device=device) * 3 * side / 8
        sample.gt_instances = InstanceData(
            bboxes=torch.cat([corners, corners + sides], dim=1),
            labels=torch.randint(classes, (5,), device=device),
        )
        samples.append(sample)
    return torch.randn(images, 3, side, side, device=device), samples


def training_step(
    detector: TwoStageDetector, losses: Callable[[], dict[str, Any]], *more: nn.Module
) -> Step:
    """Forward, backward and update of a detector, and of what else learns with it."""
    parameters = [p for module in (detector, *more) for p in module.parameters()]
    optimiser = torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, weight_decay=1e-4)

    def step() -> None:
        optimiser.zero_grad()
        total, _ = detector.parse_losses(losses())
        total.backward()
        optimiser.step()

    return step


def median_seconds(
    kinds: dict[str, Step], rounds: int, untimed: int = _UNTIMED
) -> dict[str, float]:
    """Median seconds of each kind of step; they take turns, each round with the same draws."""
    taken: dict[str, list[float]] = {name: [] for name in kinds}
    for turn in range(untimed + rounds):
        for name, step in kinds.items():
            torch.manual_seed(turn)
            _wait()
            start = time.perf_counter()
            step()
            _wait()
            if turn >= untimed:
                taken[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in taken.items()}


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
