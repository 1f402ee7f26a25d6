"""COCO metrics of a detector at one resolution, unrounded."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detnas.records.results import Score
from detnas.records.settings import Resolution
from detnas_trainer.data.detection_data import DetectionData, batches, quiet
from detnas_trainer.openmmlab import DetDataSample, TwoStageDetector

Detection = dict[str, Any]
"""One detected box in COCO's form: image_id, category_id, bbox (x, y, width, height), score."""


def evaluate(
    detector: TwoStageDetector,
    data: DetectionData,
    resolution: Resolution,
    batch_size: int,
    progressed: Callable[[int], None] = lambda images: None,
) -> Score:
    """Run a detector over every validation image and score what it finds.

    The detector is left in evaluation mode.

    Args:
        detector: on the device it shall run on.
        data: the validation images.
        resolution: size that images are fitted into.
        batch_size: images run at once.
        progressed: is told after each batch how many images it had.
    """
    detections: list[Detection] = []
    for samples in predictions(detector, data, resolution, batch_size):
        for sample in samples:
            detections += coco_detections(sample, data.category_ids)
        progressed(len(samples))
    return score(ground_truth(data), detections, resolution)


def predictions(
    detector: TwoStageDetector, data: DetectionData, resolution: Resolution, batch_size: int
) -> Iterator[list[DetDataSample]]:
    """What the detector finds, batch by batch, boxes in pixels of the original images."""
    detector.eval()
    samples = data.samples(resolution)
    draws = [samples[start : start + batch_size] for start in range(0, len(samples), batch_size)]
    with torch.inference_mode():
        for batch in batches(data, draws):
            yield detector.test_step(batch)


def coco_detections(sample: DetDataSample, category_ids: Sequence[int]) -> list[Detection]:
    """One image's detections in COCO's form."""
    found = sample.pred_instances
    return [
        {
            "image_id": sample.img_id,
            "category_id": category_ids[label],
            "bbox": [left, top, right - left, bottom - top],
            "score": confidence,
        }
        for (left, top, right, bottom), confidence, label in zip(
            found.bboxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True
        )
    ]


def ground_truth(data: DetectionData) -> COCO:
    """The split's annotations as pycocotools keeps them."""
    with quiet():
        return COCO(str(data.annotations))


def score(truth: COCO, detections: list[Detection], resolution: Resolution) -> Score:
    """COCO's metrics of detections; no detection at all scores 0.

    Args:
        truth: annotations.
        detections: of every image.
        resolution: for the record.
    """
    with quiet():
        evaluation = COCOeval(truth, _loaded(truth, detections), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    average, ap50, ap75, small, medium, large = (float(value) for value in evaluation.stats[:6])
    return Score(
        resolution=resolution,
        map=average,
        ap50=ap50,
        ap75=ap75,
        ap_small=small,
        ap_medium=medium,
        ap_large=large,
    )


def _loaded(truth: COCO, detections: list[Detection]) -> COCO:
    if detections:
        return truth.loadRes(detections)
    none = COCO()  # loadRes asks the first detection what it is
    none.dataset = {**truth.dataset, "annotations": []}
    none.createIndex()
    return none
