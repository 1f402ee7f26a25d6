"""COCO metrics of synthetic detections, as evaluation computes them and by pycocotools.

    python -m bench.training.coco_eval [--images 5000]

Both start from the same annotations and list of detections, 100 an image of 80 classes.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detnas.records.settings import Resolution
from detnas_trainer.bootstrap import Detection
from detnas_trainer.evaluation import coco_index, score

CLASSES = 80
OBJECTS, DETECTIONS = 7, 100
"""In an image."""

SIZE = Resolution(width=1333, height=800)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    images = parser.parse_args().images
    dataset, detections = synthetic(images)
    slow, theirs = _timed(lambda: _pycocotools(dataset, detections))
    fast, ours = _timed(lambda: score(coco_index(dataset), detections, SIZE))
    found = (ours.map, ours.ap50, ours.ap75, ours.ap_small, ours.ap_medium, ours.ap_large)
    print(f"{images} images, {len(detections)} detections, mAP {ours.map:.4f}")
    print(f"largest difference {np.abs(np.array(found) - theirs).max():.1e}")
    print(f"pycocotools {slow:6.2f} s\nours        {fast:6.2f} s\nratio       {slow / fast:6.2f}")


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def _pycocotools(dataset: dict[str, Any], detections: list[Detection]) -> NDArray[np.float64]:
    with redirect_stdout(StringIO()):
        truth = COCO()
        truth.dataset = dataset
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes([dict(one) for one in detections]), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.array(evaluation.stats[:6])


def synthetic(images: int) -> tuple[dict[str, Any], list[Detection]]:
    """Objects, and detections that are noise around them or anywhere."""
    random = np.random.default_rng(0)
    sides = np.exp(random.uniform(2, 6, (images, OBJECTS, 2)))
    corners = random.uniform(0, 600, (images, OBJECTS, 2))
    boxes = np.concatenate([corners, sides], axis=2)
    labels = random.integers(1, CLASSES + 1, (images, OBJECTS))
    meant = random.integers(OBJECTS, size=(images, DETECTIONS))
    rows = np.arange(images)[:, None]
    noise = random.normal(0, 0.15, (images, DETECTIONS, 4))
    guesses = boxes[rows, meant]
    guesses = np.maximum(guesses + noise * guesses[..., [2, 3, 2, 3]], 1)
    right = random.random((images, DETECTIONS)) < 0.5
    named = np.where(right, labels[rows, meant], random.integers(1, CLASSES + 1, right.shape))
    scores = random.random((images, DETECTIONS)) * np.where(right, 1, 0.7)
    dataset = {
        "images": [{"id": number} for number in range(1, images + 1)],
        "categories": [{"id": number} for number in range(1, CLASSES + 1)],
        "annotations": [
            {
                "id": image * OBJECTS + place + 1,
                "image_id": image + 1,
                "category_id": int(labels[image, place]),
                "bbox": boxes[image, place].tolist(),
                "area": float(boxes[image, place, 2:].prod()),
                "iscrowd": 0,
            }
            for image in range(images)
            for place in range(OBJECTS)
        ],
    }
    detections = [
        {
            "image_id": image + 1,
            "category_id": int(named[image, place]),
            "bbox": guesses[image, place].tolist(),
            "score": float(scores[image, place]),
        }
        for image in range(images)
        for place in range(DETECTIONS)
    ]
    return dataset, detections


if __name__ == "__main__":
    main()
