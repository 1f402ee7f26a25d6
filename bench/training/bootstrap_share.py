"""Share of an evaluation's time that the bootstrap of mAP takes: at most 5 % on the digits.

    python examples/digits/make_data.py examples/digits/data
    python -m bench.training.bootstrap_share [--manifest FILE] [--epochs 4] [--repeats 5]

The base is trained for a few epochs, so that it finds about as much as a base of the example does;
then it is evaluated at each resolution, repeatedly. `bench.training.bootstrap` prints the time at
COCO's size.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from bench.training.fast_evaluation import job
from detnas.plan.requests import SearchRequests
from detnas.records.requests import BaseRequest
from detnas.records.results import DetectorResult, PrepareResult
from detnas.spec.loading import load_manifest
from detnas.store import open_store
from detnas.store.artifacts import fetch_artifact
from detnas_trainer import evaluation
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.detector import load_detector
from detnas_trainer.openmmlab import TwoStageDetector
from detnas_trainer.weights import load_weights

AIM = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--manifest", type=Path, default=Path("examples/digits/search.yaml"))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        os.environ["DETNAS_CACHE"] = f"{folder}/cache"
        store = f"{Path(folder).as_uri()}/store"
        request, detector = trained(asked.manifest, store, asked.epochs)
        measure(request, detector, asked.repeats)


def trained(manifest: Path, store: str, epochs: int) -> tuple[BaseRequest, TwoStageDetector]:
    requests = SearchRequests(load_manifest(manifest), "bench/searches/share", manifest.parent)
    prepared, _ = job(store, requests.prepare(), PrepareResult)
    base = requests.base(prepared)
    training = base.training.model_copy(update={"epochs": epochs, "warmup_iterations": 0})
    base = base.model_copy(update={"training": training})
    result, _ = job(store, base, DetectorResult)
    state = load_weights(fetch_artifact(open_store(store), result.weights)).state
    shape, classes = base.detector, len(base.classes)
    return base, load_detector(base.architecture, shape, classes, state)


def measure(request: BaseRequest, detector: TwoStageDetector, repeats: int) -> None:
    data = DetectionData(request.data, "val", request.classes)
    batch = request.evaluation_batch
    for resolution in request.resolutions:
        shares, seconds = [], []
        for _ in range(repeats):
            bootstrap = Timed(evaluation._replicates)  # noqa: SLF001
            start = time.perf_counter()
            with patch.object(evaluation, "_replicates", bootstrap):
                score = evaluation.evaluate(detector, data, resolution, batch)
            seconds.append(bootstrap.seconds)
            shares.append(bootstrap.seconds / (time.perf_counter() - start))
        print(
            f"{len(data)} images at {resolution}, mAP {score.map:.3f}: "
            f"bootstrap {1000 * median(seconds):.1f} ms, {median(shares):.1%} of the evaluation "
            f"(aim: at most {AIM:.0%})",
            flush=True,
        )


class Timed:
    """A function whose wall time is measured."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.seconds = 0.0

    def __call__(self, *arguments: Any) -> Any:
        start = time.perf_counter()
        try:
            return self._function(*arguments)
        finally:
            self.seconds += time.perf_counter() - start


if __name__ == "__main__":
    main()
