import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detnas.architecture import parse
from detnas.own_data.coco_json import DataError
from detnas.records.results import Score
from detnas.records.settings import DataLocation, DetectorShape, Resolution
from detnas_trainer.bootstrap import Detection
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.detector import build_detector
from detnas_trainer.evaluation import (
    coco_detections,
    coco_index,
    evaluate,
    ground_truth,
    predictions,
    score,
)
from tests.trainer.conftest import CATEGORY_IDS, CLASSES, edit_json, write_data_set

SIZE = Resolution(width=64, height=64)


@pytest.fixture(scope="module")
def val(tiny_data: DataLocation) -> DetectionData:
    return DetectionData(tiny_data, "val", CLASSES)


@pytest.fixture
def truth(val: DetectionData) -> COCO:
    return ground_truth(val)


def _shifted(truth: COCO, first: int, second: int) -> list[Detection]:
    """Each true box, displaced a little more than the one before, every third of a wrong class.

    Args:
        truth: where the boxes are.
        first: category id.
        second: the other one.
    """
    detections = []
    for number, annotation in enumerate(truth.loadAnns(truth.getAnnIds())):
        left, top, width, height = annotation["bbox"]
        category = annotation["category_id"]
        if number % 3 == 2:
            category = second if category == first else first
        detections.append(
            {
                "image_id": annotation["image_id"],
                "category_id": category,
                "bbox": [left + number * 0.4, top, width, height],
                "score": 1 - number // 2 / 100,  # with ties
            }
        )
    return detections


def _perfect(truth: COCO) -> list[Detection]:
    return [
        {**{k: a[k] for k in ("image_id", "category_id", "bbox")}, "score": 0.9}
        for a in truth.loadAnns(truth.getAnnIds())
    ]


def _edited(data: DataLocation, edit: Callable[[dict[str, Any]], None]) -> COCO:
    path = Path(data.root) / "val.json"
    edit_json(path, edit)
    document = json.loads(path.read_text())
    return ground_truth(DetectionData(data, "val", [e["name"] for e in document["categories"]]))


def _shuffled_and_bent(document: dict[str, Any]) -> None:
    document["images"].reverse()
    document["categories"].reverse()
    document["annotations"][0]["iscrowd"] = 1
    document["annotations"][1]["area"] = 5000


@pytest.mark.parametrize("edit", [lambda _: None, _shuffled_and_bent])
def test_metrics_are_pycocotools_own_and_unrounded(
    tmp_path: Path, edit: Callable[[dict[str, Any]], None]
) -> None:
    location = write_data_set(tmp_path, val=8)
    truth = _edited(location, edit)
    found = score(truth, _shifted(truth, 1, 2), SIZE)
    own = COCO(f"{location.root}/val.json")
    evaluation = COCOeval(own, own.loadRes(_shifted(own, *CATEGORY_IDS)), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    values = [
        found.map, found.ap50, found.ap75, found.ap_small, found.ap_medium, found.ap_large,
    ]  # fmt: skip
    assert values == pytest.approx(evaluation.stats[:6].tolist(), rel=1e-12)
    assert found.map != round(found.map, 3)
    assert 0 < found.map < found.ap50 < 1


def test_perfect_detections_score_one(truth: COCO) -> None:
    assert score(truth, _perfect(truth), SIZE).map == pytest.approx(1)


@pytest.mark.parametrize("boxes", [1, 2, 4])
@pytest.mark.parametrize("first", [0, -1, 1, 2**31, 2**63, 2**70])
def test_perfect_detections_score_one_whatever_the_ids(
    own_data: DataLocation, boxes: int, first: int
) -> None:
    def renumbered(document: dict[str, Any]) -> None:
        images = {image["id"]: first + n for n, image in enumerate(document["images"])}
        categories = {entry["id"]: first + n for n, entry in enumerate(document["categories"])}
        for entry in (*document["images"], *document["categories"]):
            entry["id"] = (images if "file_name" in entry else categories)[entry["id"]]
        del document["annotations"][boxes:]
        for number, entry in enumerate(document["annotations"]):
            entry["id"] = first + number
            entry["image_id"] = images[entry["image_id"]]
            entry["category_id"] = categories[entry["category_id"]]

    truth = _edited(own_data, renumbered)
    assert score(truth, _perfect(truth), SIZE).map == pytest.approx(1)


def test_no_detection_scores_zero_and_absent_sizes_minus_one(truth: COCO) -> None:
    found = score(truth, [], SIZE)
    assert (found.map, found.ap50, found.ap_small, found.ap_large) == (0, 0, 0, -1)


def test_without_an_ordinary_box_there_is_no_score(truth: COCO) -> None:
    for entry in truth.dataset["annotations"]:
        entry["iscrowd"] = 1
    crowds = coco_index(truth.dataset)
    for detections in ([], _perfect(crowds)):
        with pytest.raises(DataError, match="mAP is not defined"):
            score(crowds, detections, SIZE)


def test_detections_carry_the_readers_numbers_and_corners_become_sides() -> None:
    sample = DetDataSample(metainfo={"img_id": 4})
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([[1.0, 2.0, 11.0, 22.0]]),
        scores=torch.tensor([0.25]),
        labels=torch.tensor([1]),
    )
    assert coco_detections(sample, (2, 1)) == [
        {"image_id": 4, "category_id": 1, "bbox": [1.0, 2.0, 10.0, 20.0], "score": 0.25}
    ]


def test_evaluate_prints_nothing_and_is_independent_of_batches(
    val: DetectionData, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    shape = DetectorShape(neck=8, fc=16, proposals=20, roi_samples=16, anchor_scale=2)
    architecture = parse("[(8, 8)], [(8, 12)], [(8, 12)], [(8, 16)]", stem=8)
    detector = build_detector(architecture, shape, len(CLASSES)).train()
    seen: list[int] = []
    scores: set[Score] = {
        evaluate(detector, val, SIZE, batch_size, seen.append) for batch_size in (1, 4)
    }
    assert seen == [1] * 6 + [4, 2]
    assert len(scores) == 1
    # Untrained it scores zero whatever it finds, so what it finds is compared.
    one, four = (
        [
            (found["image_id"], found["category_id"], *found["bbox"], found["score"])
            for samples in predictions(detector, val, val.samples(SIZE, by_shape=True), batch_size)
            for sample in samples
            for found in coco_detections(sample, val.split.category_numbers)
        ]
        for batch_size in (1, 4)
    )
    assert {found[0] for found in one} == set(range(1, 7))
    assert np.array(four) == pytest.approx(np.array(one), rel=1e-4, abs=1e-3)
    assert not detector.training
    assert capsys.readouterr().out == ""
