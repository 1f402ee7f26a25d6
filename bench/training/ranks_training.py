"""What `bench.training.ranks` times: the train loop on noise, as one of several ranks."""

import os
import time
from typing import Any, cast

import torch

from bench.training.noise import NoiseImages
from detnas.architecture import parse
from detnas.records.settings import DetectorShape, Resolution, Training
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.data.draws import BatchDraws
from detnas_trainer.detector import build_detector
from detnas_trainer.ranks.group import any_rank, join
from detnas_trainer.trainee import DetectorTrainee
from detnas_trainer.training.gradients import seed_everything
from detnas_trainer.training.loop import TrainingLoop, TrainingPlan

ENCODING = "[(16, 16)-(16, 16)], [(32, 32)-(32, 32)], [(64, 64)-(64, 64)], [(128, 128)-(128, 128)]"
SHAPE = DetectorShape(neck=32, fc=128, proposals=100, roi_samples=64, anchor_scale=4)
SIDE, BATCH, CLASSES, IMAGES = 128, 8, 10, 64
UNTIMED = 5


class Times:
    """Hooks of the loop that take the time, and ask as a job does whether a rank is to stop."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def stepped(self, *_: Any) -> None:
        self.ends.append(time.perf_counter())

    def wants_checkpoint(self) -> bool:
        return any_rank(condition=False)

    def save(self, *_: Any) -> None:
        pass


def images_per_second(steps: int) -> float:
    """Train as the rank that the environment names, if it names one."""
    if "RANK" in os.environ:
        join()
    seed_everything(1)
    detector = build_detector(parse(ENCODING, stem=16), SHAPE, CLASSES).train()
    epochs = -(-(steps + UNTIMED) * BATCH // IMAGES)
    training = Training(epochs=epochs, learning_rate="0.01", batch_size=BATCH)
    size = Resolution(width=SIDE, height=SIDE)
    groups = (torch.arange(IMAGES).numpy(),)
    draws = BatchDraws(1, groups, BATCH, (size,), 0.0, epochs)
    times = Times()
    data = cast("DetectionData", NoiseImages(IMAGES, (SIDE, SIDE), CLASSES))
    TrainingLoop(DetectorTrainee(detector), TrainingPlan(training, draws), data, times).run()
    measured = times.ends[UNTIMED:]
    return (len(measured) - 1) * BATCH / (measured[-1] - measured[0])
