"""Images a second of our train loop over those of mmdet's own runner.

    python -m bench.training.runner [--rounds 3] [--steps 30] [--processor-time]

Both train the same thin detector on the same images of 128×128, batch 8, with SGD and clipped
gradients; they take turns. Aim: a ratio of at least 1. Seconds of the process's own processor time
are a fair measure on a machine with other work, with OMP_NUM_THREADS=1.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, cast
from unittest.mock import patch

import numpy as np
import torch

from bench.training.distillation import CLASSES, SHAPE, STUDENT
from bench.training.noise import NoiseImages
from detnas.records.settings import Precision, Resolution, Training
from detnas_trainer.data import detection_data
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.data.draws import BatchDraws
from detnas_trainer.detector import build_detector
from detnas_trainer.openmmlab import TwoStageDetector, register_all_modules
from detnas_trainer.trainee import DetectorTrainee
from detnas_trainer.training.gradients import seed_everything
from detnas_trainer.training.loop import TrainingLoop, TrainingPlan

RATE, CLIP = 0.001, 35


@dataclass(frozen=True)
class Run:
    """What both train.

    Attributes:
        make: the detector, on its device.
        images: to train on.
        batch: images a step.
        steps: that are timed.
        bfloat16: of activations, by autocast; else 32 bits.
        workers: processes that load images.
        untimed: steps before.
        clock: seconds.
    """

    make: Callable[[], TwoStageDetector]
    images: NoiseImages
    batch: int
    steps: int
    bfloat16: bool = False
    workers: int = 0
    untimed: int = 5
    clock: Callable[[], float] = time.perf_counter

    @property
    def iterations(self) -> int:
        """Steps altogether."""
        return self.untimed + self.steps

    def images_per_second(self, ends: list[float]) -> float:
        """The speed, from the times at which steps ended."""
        timed = ends[self.untimed :]
        return (len(timed) - 1) * self.batch / (timed[-1] - timed[0])


class _Ends:
    """Hooks of our loop that take the time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.times: list[float] = []
        self._clock = clock

    def stepped(self, *_: Any) -> None:
        self.times.append(self._clock())

    def wants_checkpoint(self) -> bool:
        return False

    def save(self, *_: Any) -> None:
        pass


def our_speed(run: Run) -> float:
    """Images a second of the train loop."""
    seed_everything(1)
    trainee = DetectorTrainee(run.make().train())
    epochs = -(-run.iterations * run.batch // len(run.images))
    training = Training(
        epochs=epochs,
        learning_rate=str(RATE),
        batch_size=run.batch,
        precision=Precision.BFLOAT16 if run.bfloat16 else Precision.FLOAT32,
    )
    groups = (np.arange(len(run.images)),)
    size = Resolution(width=1, height=1)  # the images have their size
    draws = BatchDraws(1, groups, run.batch, (size,), 0.0, epochs)
    ends = _Ends(run.clock)
    data = cast("DetectionData", run.images)
    with patch.object(detection_data, "default_workers", lambda: run.workers):
        TrainingLoop(trainee, TrainingPlan(training, draws), data, ends).run()
    return run.images_per_second(ends.times[: run.iterations])


def mmdets_speed(run: Run) -> float:
    """Images a second of mmdet's runner, with its usual hooks and without checkpoints."""
    from mmengine.hooks import Hook
    from mmengine.runner import Runner

    class Ends(Hook):
        times: list[float] = []

        def after_train_iter(self, *_: Any, **_more: Any) -> None:
            self.times.append(run.clock())

    seed_everything(1)
    ends = Ends()
    wrapper: dict[str, Any] = {"type": "OptimWrapper"}
    if run.bfloat16:
        wrapper = {"type": "AmpOptimWrapper", "dtype": "bfloat16"}
    optimizer = {"type": "SGD", "lr": RATE, "momentum": 0.9, "weight_decay": 0.0001}
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(
            model=run.make(),
            work_dir=folder,
            train_dataloader={
                "dataset": run.images,
                "batch_size": run.batch,
                "num_workers": run.workers,
                "persistent_workers": run.workers > 0,
                "pin_memory": torch.cuda.is_available(),
                "sampler": {"type": "InfiniteSampler"},
            },
            train_cfg={"by_epoch": False, "max_iters": run.iterations},
            optim_wrapper={**wrapper, "optimizer": optimizer, "clip_grad": {"max_norm": CLIP}},
            default_hooks={"checkpoint": None, "logger": {"type": "LoggerHook", "interval": 50}},
            custom_hooks=[ends],
            default_scope="mmdet",
            log_level="ERROR",
            experiment_name=f"bench{time.monotonic_ns()}",
            randomness={"seed": 1},
        )
        runner.train()
    return run.images_per_second(ends.times)


def compare(run: Run, rounds: int) -> tuple[float, float]:
    """Median images a second of our loop and of mmdet's runner, which take turns."""
    pairs = [(our_speed(run), mmdets_speed(run)) for _ in range(rounds)]
    ours, mmdets = zip(*pairs, strict=True)
    return median(ours), median(mmdets)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--processor-time", action="store_true")
    arguments = parser.parse_args()
    register_all_modules(init_default_scope=False)
    run = Run(
        make=lambda: build_detector(STUDENT, SHAPE, CLASSES),
        images=NoiseImages(64, (128, 128), CLASSES),
        batch=8,
        steps=arguments.steps,
        clock=time.process_time if arguments.processor_time else time.perf_counter,
    )
    ours, mmdets = compare(run, arguments.rounds)
    print(f"our loop {ours:.1f} images/s, mmdet's runner {mmdets:.1f}")
    print(f"our loop over mmdet's runner: {ours / mmdets:.3f} (aim: at least 1)")


if __name__ == "__main__":
    main()
