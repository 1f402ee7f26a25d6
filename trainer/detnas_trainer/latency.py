"""Time that a detector takes for one image: the paper's FPS column."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch

from detnas.records.results import Latency
from detnas.records.settings import Resolution
from detnas_trainer.data.detection_data import Batch, DetectionData, collate
from detnas_trainer.data.draws import Sample
from detnas_trainer.openmmlab import TwoStageDetector


@dataclass(frozen=True)
class TimedDetector:
    """A detector and the size it is timed at."""

    detector: TwoStageDetector
    resolution: Resolution


def measure_latency(
    contestants: Sequence[TimedDetector],
    data: DetectionData,
    repeats: int = 30,
    warmup: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Latency]:
    """Time detectors side by side at batch 1: preprocessing, network and non-maximum suppression.

    They take turns, image by image, so that other load on the machine affects all alike.

    Args:
        contestants: detectors, on one device.
        data: images are taken from here, in turn; reading and resizing them is not timed.
        repeats: timed runs of each; the median is reported.
        warmup: runs before, untimed.
        clock: seconds.
    """
    seconds: list[list[float]] = [[] for _ in contestants]
    for run in range(warmup + repeats):
        for contestant, times in zip(contestants, seconds, strict=True):
            sample = Sample(run % len(data), contestant.resolution)
            taken = _time_one(contestant.detector, collate([data[sample]]), clock)
            if run >= warmup:
                times.append(taken)
    return [
        Latency(
            resolution=contestant.resolution,
            milliseconds=1000 * median(times),
            device=device_name(),
        )
        for contestant, times in zip(contestants, seconds, strict=True)
    ]


def device_name() -> str:
    """The GPU's name, or ``CPU`` with the number of threads in use."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads"


def _time_one(detector: TwoStageDetector, batch: Batch, clock: Callable[[], float]) -> float:
    detector.eval()
    with torch.inference_mode():
        _wait_for_device()
        start = clock()
        detector.test_step(batch)
        _wait_for_device()
        return clock() - start


def _wait_for_device() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
