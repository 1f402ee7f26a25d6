"""What a trial takes beside training and evaluation: parts of its time, at R101's size.

    python -m bench.training.trial [--size 320x192] [--batch 2]

A trial that adds a layer to an R101, taught by R101×1.5, with all caches filled by one before it.
Its process is forked from this one, as the local runner forks them; a pod's imports all packages
first, which is timed beside it. Aim on a GPU at 1333x800: at most 20 s before the end of the first
step, and at most 20 s after the last one without evaluation.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.training.noise import write_noise_data
from detnas.actions import AddLayer
from detnas.architecture import Architecture
from detnas.records.artifacts import Artifact
from detnas.records.requests import Pool, StudentRequest
from detnas.records.results import DetectorResult, Outcome
from detnas.records.settings import DetectorShape, Precision, Resolution, Training
from detnas.spec.base import Model, model_architecture
from detnas.store import open_store
from detnas.store.artifacts import create_record, load_record, publish_file
from detnas.teachers import SupernetShape, TeacherSpace
from detnas_trainer.detector import build_detector
from detnas_trainer.jobs import run
from detnas_trainer.jobs.verbs import student as student_verb  # noqa: F401 - before forking
from detnas_trainer.jobs.verbs.training import _JobHooks
from detnas_trainer.weights import save_weights

STEPS = 2


@dataclass(frozen=True)
class Setup:
    """The trial to time."""

    parent: Architecture
    supernet: SupernetShape
    space: TeacherSpace
    detector: DetectorShape
    size: Resolution
    batch: int


@dataclass(frozen=True)
class TrialTimes:
    """Seconds.

    Attributes:
        imports: of all packages, in a new process.
        before: from the fork to the end of the first step.
        after: from the end of the last step to the end of the process, without evaluation.
        activities: of the job, by name.
    """

    imports: float
    before: float
    after: float
    activities: dict[str, float]


def measure(folder: Path, setup: Setup) -> TrialTimes:
    """Time the second of two equal trials."""
    os.environ["DETNAS_CACHE"] = str(folder / "cache")
    size = (setup.size.width // 2, setup.size.height // 2)
    data = write_noise_data(folder / "data", (STEPS * setup.batch, setup.batch), size, ("a", "b"))
    neck = setup.supernet.neck_width(setup.space.largest)
    architecture = setup.supernet.architecture(setup.space.largest)
    common: dict[str, Any] = {
        "seed": 1,
        "data": data,
        "classes": ("a", "b"),
        "detector": setup.detector,
        "resolutions": (setup.size,),
        "training": Training(
            epochs=1,
            learning_rate=Decimal("0.0001"),
            batch_size=setup.batch,
            precision=Precision.AUTO,
        ),
        "evaluation_batch": setup.batch,
        "parent": setup.parent,
        "parent_weights": _published(folder, setup, setup.parent),
        "action": AddLayer(stage=2),
        "teacher": setup.space.largest,
        "pool": Pool(
            supernet=setup.supernet,
            space=setup.space,
            weights=_published(folder, setup, architecture, neck),
            bn_images=setup.batch,
        ),
    }
    times = [_timed(folder, StudentRequest(key=f"bench/trials/{n}", **common)) for n in range(2)]
    before, after, result = times[-1]
    return TrialTimes(_import_seconds(), before, after - result["evaluating"], result)


def _published(
    folder: Path, setup: Setup, architecture: Architecture, neck: int | None = None
) -> Artifact:
    path = folder / "weights.safetensors"
    save_weights(path, build_detector(architecture, setup.detector, 2, neck).state_dict())
    return publish_file(open_store((folder / "store").as_uri()), "bench/given", path, "safetensors")


def _timed(folder: Path, request: StudentRequest) -> tuple[float, float, dict[str, float]]:
    """Seconds until the first step, those after the last one, and the job's own account."""
    store = open_store((folder / "store").as_uri())
    create_record(store, f"{request.key}/request.json", request)
    reading, writing = multiprocessing.Pipe(duplex=False)
    start = time.monotonic()
    process = multiprocessing.get_context("fork").Process(
        target=_run, args=(f"{store.uri}/{request.key}", writing)
    )
    process.start()
    process.join()
    end = time.monotonic()
    result = load_record(store, f"{request.key}/result.json", DetectorResult)
    assert result is not None, f"{request.key} has no result"
    assert result.outcome is Outcome.SUCCEEDED, result.message
    steps = [reading.recv() for _ in range(STEPS)]
    return steps[0] - start, end - steps[-1], result.seconds


def _run(uri: str, writing: Any) -> None:
    plain = _JobHooks.stepped

    def stepped(hooks: Any, *arguments: Any) -> None:
        plain(hooks, *arguments)
        writing.send(time.monotonic())

    with patch.object(_JobHooks, "stepped", stepped):
        sys.exit(run("evaluate", uri))


def _import_seconds() -> float:
    start = time.monotonic()
    imports = "import detnas_trainer.openmmlab, detnas_trainer.jobs.verbs.student"
    subprocess.run([sys.executable, "-c", imports], check=True)
    return time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="320x192", help="of the images")
    parser.add_argument("--batch", type=int, default=2, help="images a step")
    arguments = parser.parse_args()
    setup = Setup(
        parent=model_architecture(Model.R101),
        supernet=SupernetShape(),
        space=TeacherSpace(),
        detector=DetectorShape(),
        size=Resolution.model_validate(arguments.size),
        batch=arguments.batch,
    )
    with tempfile.TemporaryDirectory() as folder:
        times = measure(Path(folder), setup)
    print(f"imports of a pod                        {times.imports:6.2f} s")
    print(f"process start to the end of step 1      {times.before:6.2f} s")
    print(f"last step to result, without evaluation {times.after:6.2f} s")
    for name, seconds in times.activities.items():
        print(f"  {name:<37} {seconds:6.2f} s")


if __name__ == "__main__":
    main()
