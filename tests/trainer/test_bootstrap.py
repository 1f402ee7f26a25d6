"""The bootstrap of mAP against faster-coco-eval itself, and its coverage in a simulation."""

from typing import Any

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster
from numpy.random import Generator
from numpy.typing import NDArray

import bench.training.bootstrap as simulation
from detnas.records.settings import Resolution
from detnas_trainer.bootstrap import (
    REPLICATES,
    Detection,
    class_matches,
    image_counts,
    map_replicates,
)
from detnas_trainer.evaluation import coco_index, score

SIZE = Resolution(width=64, height=64)
IMAGES, CLASSES = 40, 3
RECALLS = np.linspace(0, 1, 101)

Boxes = list[dict[str, Any]]


def _objects(random: Generator) -> Boxes:
    """Objects and crowds, some at the same place, and two images without any."""
    return [
        {
            "id": number + 1,
            "image_id": int(random.integers(3, IMAGES + 1)),
            "category_id": int(random.integers(1, CLASSES + 1)),
            "bbox": [*random.integers(0, 40, 2).tolist(), 10, 10],
            "area": 100,
            "iscrowd": int(random.random() < 0.1),
        }
        for number in range(4 * IMAGES)
    ]


def _detections(random: Generator, objects: Boxes) -> list[Detection]:
    """Several around each object, some of the wrong class, with distinct confidences."""
    found = []
    for one in [*objects, *objects, *objects]:
        left, top, *sides = one["bbox"]
        moved = [left + random.normal(0, 1), top + random.normal(0, 1), *sides]
        category = one["category_id"] if random.random() < 0.8 else int(random.integers(1, 4))
        found.append(
            {
                "image_id": one["image_id"],
                "category_id": category,
                "bbox": moved,
                "score": random.random(),
            }
        )
    return found


def _index(images: int, objects: Boxes) -> COCO:
    return coco_index(
        {
            "images": [{"id": number + 1} for number in range(images)],
            "categories": [{"id": number + 1} for number in range(CLASSES)],
            "annotations": objects,
        }
    )


def _evaluated(truth: COCO, detections: list[Detection]) -> COCOeval_faster:
    evaluation = COCOeval_faster(
        truth, truth.loadRes(detections), "bbox", extra_calc=False, print_function=lambda _: None
    )
    evaluation.run()
    return evaluation


def _resampled(
    objects: Boxes, detections: list[Detection], counts: NDArray[np.int64]
) -> tuple[COCO, list[Detection]]:
    """A data set that has each image as often as a replicate does."""
    originals = [image + 1 for image, count in enumerate(counts) for _ in range(count)]
    copies = list(enumerate(originals, start=1))
    drawn = [{**o, "image_id": n} for n, image in copies for o in objects if o["image_id"] == image]
    found = [
        {key: d[key] for key in ("category_id", "bbox", "score")} | {"image_id": n}
        for n, image in copies
        for d in detections
        if d["image_id"] == image
    ]
    numbered = [{**one, "id": number} for number, one in enumerate(drawn, start=1)]
    return _index(len(copies), numbered), found


@pytest.mark.parametrize("seed", range(3))
def test_replicates_are_the_map_of_resampled_data_sets(seed: int) -> None:
    random = np.random.default_rng(seed)
    objects = _objects(random)
    detections = _detections(random, objects)
    truth, counts = _index(IMAGES, objects), image_counts(IMAGES, 3)
    matches = class_matches(_evaluated(truth, detections), truth, detections)
    found = map_replicates(matches, counts, RECALLS)
    for value, row in zip(found, counts, strict=True):
        expected = _evaluated(*_resampled(objects, detections, row)).stats[0]
        assert value == pytest.approx(expected, abs=1e-12)


def test_every_image_once_gives_the_same_map_with_equal_confidences_too() -> None:
    random = np.random.default_rng(0)
    objects = _objects(random)
    detections = _detections(random, objects)
    for detection in detections:
        detection["score"] = round(detection["score"], 1)
    truth = _index(IMAGES, objects)
    evaluation = _evaluated(truth, detections)
    once = np.ones((1, IMAGES), dtype=np.int64)
    found = map_replicates(class_matches(evaluation, truth, detections), once, RECALLS)
    assert found[0] == pytest.approx(evaluation.stats[0], abs=1e-12)


def test_draws_stay_those_of_earlier_results() -> None:
    """Results of different versions are compared replicate by replicate."""
    assert image_counts(6, 3).tolist() == [
        [1, 0, 0, 3, 1, 1],
        [1, 1, 1, 1, 1, 1],
        [2, 2, 1, 0, 1, 0],
    ]
    assert image_counts(100).sum(axis=1).tolist() == [100] * REPLICATES


def test_score_has_the_replicates_and_their_deviation() -> None:
    random = np.random.default_rng(0)
    objects = _objects(random)
    found = score(_index(IMAGES, objects), _detections(random, objects), SIZE)
    assert len(found.replicates) == REPLICATES
    deviation = np.std(found.replicates, ddof=1)
    assert found.map_error == pytest.approx(deviation)
    assert abs(np.mean(found.replicates) - found.map) < 2 * deviation


def test_replicates_without_an_object_are_left_out_for_every_detector() -> None:
    """Two images, one of them empty: a quarter of the draws has nothing to find."""
    objects = [
        {**one, "id": 1, "image_id": 2, "iscrowd": 0}
        for one in _objects(np.random.default_rng(0))[:1]
    ]
    truth = _index(2, objects)
    perfect = [{**objects[0], "score": 0.9}]
    assert len(score(truth, perfect, SIZE).replicates) == len(score(truth, [], SIZE).replicates)
    assert 0 < len(score(truth, perfect, SIZE).replicates) < REPLICATES


def test_error_of_a_single_image_is_unknown() -> None:
    objects = [
        {**one, "id": 1, "image_id": 1, "iscrowd": 0}
        for one in _objects(np.random.default_rng(0))[:1]
    ]
    assert score(_index(1, objects), [{**objects[0], "score": 0.9}], SIZE).map_error is None


def test_paired_interval_of_200_images_holds_about_as_often_as_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a simulation of two detectors, whose true difference is that on 60,000 images."""
    monkeypatch.setattr(simulation, "THRESHOLDS", np.array([0.5, 0.75]))  # they take less time
    monkeypatch.setattr(simulation, "CLASSES", 1)
    random = np.random.default_rng(0)
    first, second = (
        simulation.true_map(found) for found in simulation.detected(random, simulation.POPULATION)
    )
    held = [simulation.interval_holds(random, 200, second - first) for _ in range(400)]
    assert 0.93 <= np.mean(held) <= 0.97
