"""How long this machine takes for a training step, before there is a search: on images of noise."""

import time
from collections.abc import Sequence
from statistics import median

import torch

from detnas.architecture import Architecture
from detnas.records.settings import DetectorShape, Resolution
from detnas_trainer.detector import build_detector
from detnas_trainer.openmmlab import DetDataSample, InstanceData, TwoStageDetector

_OBJECTS = 5
"""In each image."""

_ROUNDS = 3
"""Timed steps at each size, after one that warms up."""


def seconds_per_image(
    architecture: Architecture,
    shape: DetectorShape,
    classes: int,
    resolutions: Sequence[Resolution],
    batch: int,
) -> float:
    """Return the seconds of a plain training step for one image, the mean of the sizes' medians.

    Reading images is not timed. On a GPU if there is one, else in time of one processor, in which
    other programs do not count.

    Args:
        architecture: backbone of the detector.
        shape: its neck and heads.
        classes: of the data set, without background.
        resolutions: sizes of the images.
        batch: images of a step.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    detector = build_detector(architecture, shape, classes).to(device).train()
    optimiser = torch.optim.SGD(detector.parameters(), lr=1e-4, momentum=0.9)
    sizes = [
        median(_steps(detector, optimiser, (size.height, size.width), classes, batch))
        for size in resolutions
    ]
    return sum(sizes) / len(sizes) / batch


def _steps(
    detector: TwoStageDetector,
    optimiser: torch.optim.Optimizer,
    size: tuple[int, int],
    classes: int,
    batch: int,
) -> list[float]:
    device = next(detector.parameters()).device
    images = torch.randn(batch, 3, *size, device=device)
    samples = [_sample(size, classes, device) for _ in range(batch)]
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    taken = []
    for _ in range(1 + _ROUNDS):
        start = clock()
        optimiser.zero_grad()
        total, _ = detector.parse_losses(detector.loss(images, samples))
        total.backward()
        optimiser.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(clock() - start)
    return taken[1:]


def _sample(size: tuple[int, int], classes: int, device: torch.device) -> DetDataSample:
    """Labels of an image: boxes of an eighth to a half of the shorter side."""
    shapes = dict.fromkeys(("img_shape", "pad_shape", "batch_input_shape"), size)
    sample = DetDataSample(metainfo={**shapes, "scale_factor": (1.0, 1.0)})
    corners = torch.rand(_OBJECTS, 2, device=device) * min(size) / 2
    sides = (0.125 + 0.375 * torch.rand(_OBJECTS, 2, device=device)) * min(size)
    sample.gt_instances = InstanceData(
        bboxes=torch.cat([corners, corners + sides], dim=1),
        labels=torch.randint(classes, (_OBJECTS,), device=device),
    )
    return sample
