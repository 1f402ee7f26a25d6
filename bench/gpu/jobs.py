"""Entire jobs, and the train loop on files."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.gpu.figures import Figures
from bench.gpu.scale import Scale
from bench.gpu.steps import build
from bench.training import fast_evaluation
from bench.training.noise import write_noise_data
from bench.training.trial import Setup, measure
from detnas.records.settings import Training
from detnas_trainer.data.detection_data import Batch, DetectionData, batches
from detnas_trainer.data.draws import BatchDraws
from detnas_trainer.trainee import DetectorTrainee
from detnas_trainer.training import loop
from detnas_trainer.training.loop import TrainingLoop, TrainingPlan

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "digits"


def digits(figures: Figures, scale: Scale, folder: Path) -> None:
    """One step of the digits example: prepare, base, pool and a trial, an epoch each."""
    canvases = ["--train", "16", "--val", "8"] if scale.thin else []
    make = [sys.executable, str(EXAMPLE / "make_data.py"), str(folder / "data"), *canvases]
    subprocess.run(make, check=True)
    manifest = folder / "search.yaml"
    manifest.write_text((EXAMPLE / "search.yaml").read_text())
    store = (folder / "store").as_uri()
    ((result, wall),) = fast_evaluation.measure(manifest, store, 1)
    figures.add("mAP of the trial", max(score.map for score in result.scores))
    figures.add("trial", wall, "s")
    share = fast_evaluation.other_share(result, wall)
    figures.add("share of neither training nor evaluation", share)


def data(figures: Figures, scale: Scale, folder: Path) -> None:
    """How long the train loop waits for images that worker processes load from files."""
    names = [f"class {number}" for number in range(scale.classes)]
    images, epochs = (2 * scale.batch, 1) if scale.thin else (64, 3)
    size = (64, 48) if scale.thin else (640, 480)
    location = write_noise_data(folder / "data", (images, 1), size, names)
    split = DetectionData(location, "train", names)
    plan = TrainingPlan(
        Training(epochs=epochs, learning_rate="0.0001", batch_size=scale.batch, precision="Auto"),
        BatchDraws(1, split.groups(True), scale.batch, (scale.size,), 0.5, epochs),
    )
    waits: list[tuple[float, float]] = []

    def timed(source_data: DetectionData, draws: Any) -> Iterator[Batch]:
        source = batches(source_data, draws, workers=scale.workers)
        while True:
            start = time.perf_counter()
            batch = next(source, None)
            waits.append((start, time.perf_counter()))
            if batch is None:
                return
            yield batch

    with patch.object(loop, "batches", timed):
        TrainingLoop(DetectorTrainee(build(scale)), plan, split, _Nothing()).run()
    first = 1 if scale.thin else 6  # the workers' start is in the first steps
    waited = sum(end - start for start, end in waits[first:-1])
    share = waited / (waits[-1][0] - waits[first][0])
    figures.add(f"waiting for data, {scale.workers} workers", 100 * share, "%", at_most=5)


def trial(figures: Figures, scale: Scale, folder: Path) -> None:
    """What a trial takes beside training and evaluation."""
    setup = Setup(
        parent=scale.base,
        supernet=scale.supernet,
        space=scale.space,
        detector=scale.detector,
        size=scale.size,
        batch=scale.batch,
    )
    times = measure(folder, setup)
    figures.add("imports of a pod", times.imports, "s")
    figures.add("start to the end of the first step", times.imports + times.before, "s", at_most=20)
    figures.add("last step to result, without evaluation", times.after, "s", at_most=20)
    for name, seconds in times.activities.items():
        figures.add(f"of it {name}", seconds, "s")


class _Nothing:
    """Hooks that do nothing."""

    def stepped(self, *_: Any) -> None:
        pass

    def wants_checkpoint(self) -> bool:
        return False

    def save(self, *_: Any) -> None:
        pass
