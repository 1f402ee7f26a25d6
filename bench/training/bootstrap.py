"""Standard error of mAP by bootstrap: what it costs, and how often its intervals hold.

    python -m bench.training.bootstrap [--images 5000] [--searches 400]

First the time of the bootstrap beside that of COCO's metrics, on synthetic detections of 80
classes. Then coverage: pairs of detectors are simulated on many small validation splits, and the
paired 95 % interval of each is compared with the difference on 60,000 images.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_coco_eval import COCOeval_faster
from numpy.random import Generator
from numpy.typing import NDArray

from bench.training.coco_eval import synthetic
from detnas.gain import interval
from detnas_trainer.bootstrap import ClassMatches, class_matches, image_counts, map_replicates
from detnas_trainer.evaluation import coco_index

CLASSES = 3
THRESHOLDS, RECALLS = np.linspace(0.5, 0.95, 10), np.linspace(0, 1, 101)
SKILLS = (0.0, 0.1)
"""Of the two detectors: by how much their boxes are better than they are hard to find."""

POPULATION = 60_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--searches", type=int, default=400)
    asked = parser.parse_args()
    _print_cost(asked.images)
    random = np.random.default_rng(0)
    true = [true_map(found) for found in detected(random, POPULATION)]
    print(f"mAP of the two detectors: {true[0]:.4f} and {true[1]:.4f}")
    for images in (50, 200, 500):
        held = [interval_holds(random, images, true[1] - true[0]) for _ in range(asked.searches)]
        print(f"{images:4} images: the 95 % interval held in {np.mean(held):.1%}", flush=True)


def _print_cost(images: int) -> None:
    dataset, detections = synthetic(images)
    truth = coco_index(dataset)
    evaluation = COCOeval_faster(
        truth, truth.loadRes(detections), "bbox", extra_calc=False, print_function=lambda _: None
    )
    metrics, _ = _timed(evaluation.run)
    matching, matches = _timed(lambda: class_matches(evaluation, truth, detections))
    counts = image_counts(images)
    drawing, _ = _timed(lambda: map_replicates(matches, counts, RECALLS))
    print(f"{images} images, {len(detections)} detections, {len(counts)} replicates; CPU seconds:")
    print(f"COCO's metrics {metrics:.2f}, matches {matching:.2f}, replicates {drawing:.2f}")


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def interval_holds(random: Generator, images: int, difference: float) -> bool:
    counts = image_counts(images)
    first, second = (map_replicates(one, counts, RECALLS) for one in detected(random, images))
    low, high = interval((second - first).tolist())
    return low <= difference <= high


def true_map(classes: list[ClassMatches]) -> float:
    once = np.ones((1, len(classes[0].objects)), dtype=np.int64)
    return float(map_replicates(classes, once, RECALLS)[0])


@dataclass(frozen=True)
class _Boxes:
    """Things in images, each of a class: objects, or clutter that looks like them."""

    images: NDArray[np.int64]
    labels: NDArray[np.int64]

    @classmethod
    def drawn(cls, random: Generator, images: int, mean: float, least: int) -> "_Boxes":
        numbers = random.poisson(mean, (images, CLASSES))
        numbers[:, 0] += least
        places, labels = np.indices(numbers.shape)
        return cls(places.ravel().repeat(numbers.ravel()), labels.ravel().repeat(numbers.ravel()))


def detected(random: Generator, images: int) -> list[list[ClassMatches]]:
    """What each of the detectors finds in the same images, some of which are easier than others."""
    objects, clutter = _Boxes.drawn(random, images, 3, 1), _Boxes.drawn(random, images, 2, 0)
    ease = random.normal(0, 1, len(objects.images)) + random.normal(0, 0.7, images)[objects.images]
    return [_matches(random, images, objects, ease + skill, clutter) for skill in SKILLS]


def _matches(
    random: Generator, images: int, objects: _Boxes, ease: NDArray[np.float64], clutter: _Boxes
) -> list[ClassMatches]:
    quality = ease + random.normal(0, 0.6, len(ease))
    seen = quality > -0.8
    overlap = 1 / (1 + np.exp(-(0.7 * quality + 0.9)))
    confidence = quality + random.normal(0, 0.6, len(ease))
    false_confidence = random.normal(-0.7, 1, len(clutter.images))
    found = []
    for label in range(CLASSES):
        right, wrong = seen & (objects.labels == label), clutter.labels == label
        places = np.concatenate([objects.images[right], clutter.images[wrong]])
        overlaps = np.concatenate([overlap[right], np.zeros(wrong.sum())])
        order = np.argsort(-np.concatenate([confidence[right], false_confidence[wrong]]))
        matched = (overlaps[:, None] >= THRESHOLDS)[order]
        numbers = np.bincount(objects.images[objects.labels == label], minlength=images)
        found.append(ClassMatches(places[order], matched, np.zeros_like(matched), numbers))
    return found


if __name__ == "__main__":
    main()
