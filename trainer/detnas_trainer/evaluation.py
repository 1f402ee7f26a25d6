"""COCO metrics of a detector at one resolution, unrounded."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from math import isfinite
from typing import Any

import torch
from faster_coco_eval import COCO, COCOeval_faster

from detnas.own_data.coco_json import DataError
from detnas.records.results import Score
from detnas.records.settings import Resolution
from detnas_trainer.bootstrap import Detection, class_matches, image_counts, map_replicates
from detnas_trainer.data.detection_data import DetectionData, batches
from detnas_trainer.data.draws import Sample
from detnas_trainer.openmmlab import DetDataSample, TwoStageDetector
from detnas_trainer.ranks.group import from_first, gathered_shares, own_share, rank_count


def evaluate(
    detector: TwoStageDetector,
    data: DetectionData,
    resolution: Resolution,
    batch_size: int,
    progressed: Callable[[int], None] = lambda images: None,
    *,
    by_shape: bool = True,
) -> Score:
    """Run a detector over every image of a split and score what it finds.

    The detector is left in evaluation mode. Ranks share the batches; rank 0 scores.

    Args:
        detector: on any device.
        data: the split.
        resolution: of the images.
        batch_size: images at once.
        progressed: called after each batch with the number of images that all ranks have done
            meanwhile, if they are equally fast.
        by_shape: put images of similar aspect ratio together. Padding has a small effect on what
            is found, so a record is compared with a score of the same order only.

    Raises:
        DataError: there is no box to be found, so there is no score.
    """
    found = find(detector, data, resolution, batch_size, progressed, by_shape=by_shape)
    return from_first(lambda: score(ground_truth(data), found, resolution))


def find(
    detector: TwoStageDetector,
    data: DetectionData,
    resolution: Resolution,
    batch_size: int,
    progressed: Callable[[int], None] = lambda images: None,
    *,
    by_shape: bool = True,
) -> list[Detection]:
    """Return what a detector finds in every image of a split; arguments are `evaluate`'s."""
    samples = data.samples(resolution, by_shape)
    return detect(detector, data, samples, batch_size, progressed)


def detect(
    detector: TwoStageDetector,
    data: DetectionData,
    samples: Sequence[Sample],
    batch_size: int,
    progressed: Callable[[int], None] = lambda images: None,
) -> list[Detection]:
    """What a detector finds in images, in their order; see `evaluate`.

    Args:
        detector: on any device.
        data: has the images.
        samples: which, and at which size.
        batch_size: images at once.
        progressed: as for `evaluate`.
    """
    found: list[list[Detection]] = []  # by batch
    for batch in predictions(detector, data, samples, batch_size):
        found.append(
            [
                detection
                for sample in batch
                for detection in coco_detections(sample, data.split.category_numbers)
            ]
        )
        progressed(len(batch) * rank_count())
    return list(chain.from_iterable(gathered_shares(found)))


def predictions(
    detector: TwoStageDetector,
    data: DetectionData,
    samples: Sequence[Sample],
    batch_size: int,
) -> Iterator[list[DetDataSample]]:
    """What the detector finds, batch by batch, boxes in pixels of the original images.

    Each rank gets its share of the batches.
    """
    detector.eval()
    draws = [samples[start : start + batch_size] for start in range(0, len(samples), batch_size)]
    with torch.inference_mode():
        for batch in batches(data, own_share(draws)):
            yield detector.test_step(batch)


def coco_detections(sample: DetDataSample, category_numbers: Sequence[int]) -> list[Detection]:
    """One image's detections in COCO's form."""
    found = sample.pred_instances
    return [
        {
            "image_id": sample.img_id,
            "category_id": category_numbers[label],
            "bbox": [left, top, right - left, bottom - top],
            "score": confidence,
        }
        for (left, top, right, bottom), confidence, label in zip(
            found.bboxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True
        )
    ]


def ground_truth(data: DetectionData) -> COCO:
    """The split's annotations indexed by COCO's tools, under the reader's numbers."""
    split, boxes = data.split, data.split.boxes
    rows = zip(
        boxes.images.tolist(),
        boxes.labels.tolist(),
        boxes.sides.tolist(),
        boxes.areas.tolist(),
        boxes.crowds.tolist(),
        strict=True,
    )
    return coco_index(
        {
            "images": [{"id": number} for number in split.image_numbers],
            "categories": [{"id": number} for number in split.category_numbers],
            "annotations": [
                {
                    "id": number,  # an id of 0 would mean: matched by nothing
                    "image_id": split.image_numbers[image],
                    "category_id": split.category_numbers[label],
                    "bbox": sides,
                    "area": area,
                    "iscrowd": int(crowd),
                }
                for number, (image, label, sides, area, crowd) in enumerate(rows, start=1)
            ],
        }
    )


def coco_index(dataset: dict[str, Any]) -> COCO:
    """Index the content of an annotation file."""
    return COCO(dataset, print_function=_say_nothing)


def score(truth: COCO, detections: list[Detection], resolution: Resolution) -> Score:
    """COCO's metrics of detections; no detection at all scores 0.

    Raises:
        DataError: the annotations hold no box that counts, which COCO's metrics answer with -1.
    """
    evaluation = COCOeval_faster(
        truth, truth.loadRes(detections), "bbox", extra_calc=False, print_function=_say_nothing
    )
    evaluation.run()
    replicates = _replicates(evaluation, truth, detections)
    average, ap50, ap75, small, medium, large = (float(value) for value in evaluation.stats[:6])
    if average < 0:
        raise DataError(
            "the validation split holds no box that counts: mAP is not defined",
            "annotate some objects with iscrowd 0",
        )
    return Score(
        resolution=resolution,
        map=average,
        ap50=ap50,
        ap75=ap75,
        ap_small=small,
        ap_medium=medium,
        ap_large=large,
        map_error=statistics.stdev(replicates) if len(replicates) > 1 else None,
        replicates=replicates,
    )


def _replicates(
    evaluation: COCOeval_faster, truth: COCO, detections: list[Detection]
) -> tuple[float, ...]:
    """MAP of each replicate that has an object; none of a single image, which cannot vary."""
    images = len(evaluation.params.imgIds)
    if images < 2:
        return ()
    found = map_replicates(
        class_matches(evaluation, truth, detections),
        image_counts(images),
        evaluation.params.recThrs,
    )
    return tuple(round(value, _DIGITS) for value in found.tolist() if isfinite(value))


_DIGITS = 5
"""Of replicates, whose errors are a thousand times as large."""


def _say_nothing(_message: object) -> None:
    """In place of print."""
