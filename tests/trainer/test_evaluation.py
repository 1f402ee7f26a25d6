import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detnas.architecture import parse
from detnas.records.results import Score
from detnas.records.settings import DataLocation, DetectorShape, Resolution
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.detector import build_detector
from detnas_trainer.evaluation import (
    Detection,
    coco_detections,
    evaluate,
    ground_truth,
    predictions,
    score,
)
from tests.trainer.conftest import CATEGORY_IDS, CLASSES

SIZE = Resolution(width=64, height=64)


@pytest.fixture(scope="module")
def val(tiny_data: DataLocation) -> DetectionData:
    return DetectionData(tiny_data, "val", CLASSES)


@pytest.fixture(scope="module")
def truth(val: DetectionData) -> COCO:
    return ground_truth(val)


def _shifted(truth: COCO) -> list[Detection]:
    """Each true box, displaced a little more than the one before, every third of a wrong class."""
    detections = []
    for number, annotation in enumerate(truth.loadAnns(truth.getAnnIds())):
        left, top, width, height = annotation["bbox"]
        category = annotation["category_id"]
        if number % 3 == 2:
            category = CATEGORY_IDS[category == CATEGORY_IDS[0]]
        detections.append(
            {
                "image_id": annotation["image_id"],
                "category_id": category,
                "bbox": [left + number * 0.4, top, width, height],
                "score": 1 - number / 100,
            }
        )
    return detections


def test_metrics_are_pycocotools_own_and_unrounded(truth: COCO, val: DetectionData) -> None:
    found = score(truth, _shifted(truth), SIZE)
    own = COCO(str(val.annotations))
    evaluation = COCOeval(own, own.loadRes(_shifted(truth)), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    values = [
        found.map, found.ap50, found.ap75, found.ap_small, found.ap_medium, found.ap_large,
    ]  # fmt: skip
    assert values == evaluation.stats[:6].tolist()
    assert found.map != round(found.map, 3)
    assert 0 < found.map < found.ap50 < 1


def test_perfect_detections_score_one(truth: COCO) -> None:
    perfect = [
        {**{k: a[k] for k in ("image_id", "category_id", "bbox")}, "score": 0.9}
        for a in truth.loadAnns(truth.getAnnIds())
    ]
    assert score(truth, perfect, SIZE).map == pytest.approx(1)


def test_no_detection_scores_zero_and_absent_sizes_minus_one(truth: COCO) -> None:
    found = score(truth, [], SIZE)
    assert (found.map, found.ap50, found.ap_small, found.ap_large) == (0, 0, 0, -1)


def test_a_split_without_boxes_scores_minus_one(own_data: DataLocation) -> None:
    path = Path(own_data.root) / "val.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "annotations": []}))
    empty = ground_truth(DetectionData(own_data, "val", CLASSES))
    detection = {"image_id": 100, "category_id": 3, "bbox": [1, 1, 9, 9], "score": 0.5}
    assert score(empty, [detection], SIZE).map == -1
    assert score(empty, [], SIZE).map == -1


def test_detections_carry_cocos_ids_and_corners_become_sides() -> None:
    sample = DetDataSample(metainfo={"img_id": 104})
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([[1.0, 2.0, 11.0, 22.0]]),
        scores=torch.tensor([0.25]),
        labels=torch.tensor([1]),
    )
    assert coco_detections(sample, CATEGORY_IDS) == [
        {"image_id": 104, "category_id": 7, "bbox": [1.0, 2.0, 10.0, 20.0], "score": 0.25}
    ]


def test_nothing_but_the_score_comes_out_and_batches_do_not_change_it(
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
            for samples in predictions(detector, val, SIZE, batch_size)
            for sample in samples
            for found in coco_detections(sample, CATEGORY_IDS)
        ]
        for batch_size in (1, 4)
    )
    assert {found[0] for found in one} == set(range(100, 106))
    assert np.array(four) == pytest.approx(np.array(one), rel=1e-4, abs=1e-3)
    assert not detector.training
    assert capsys.readouterr().out == ""
