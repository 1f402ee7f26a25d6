"""What the export job shows of the student beside the base, and what a test server takes."""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from detnas.records.artifacts import COMPARISON
from detnas.records.requests import ExportRequest
from detnas_trainer.bootstrap import Detection
from detnas_trainer.comparison import Marked, Pair, draw, match, most_different
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.jobs.job import Job
from detnas_trainer.jobs.verbs.final_test import coco_results
from detnas_trainer.jobs.verbs.scoring import detect_at
from detnas_trainer.openmmlab import TwoStageDetector

PREDICTIONS = "predictions.json"

_COMPARED_IMAGES = 200
"""The base is run on so many validation images, evenly spread: the picture needs no more."""


def write_predictions(
    folder: Path, detections: Sequence[Detection], data: DetectionData
) -> list[Path]:
    """Write a detector's detections in the form of COCO's results, with the file's own ids."""
    results = list(coco_results(data.split, detections))
    path = folder / PREDICTIONS
    path.write_text(json.dumps(results, separators=(",", ":")), encoding="utf-8")
    return [path]


def write_comparison(
    job: Job[ExportRequest],
    folder: Path,
    student: Sequence[Detection],
    base: TwoStageDetector,
    data: DetectionData,
) -> Path | None:
    """Write a picture of the images where student and base differ most.

    Args:
        job: names the base's resolution.
        folder: to write into.
        student: what it has found in all validation images.
        base: the detector.
        data: the validation images.

    Returns:
        the picture; None if both find the same in every image.

    Raises:
        Interrupted: the process was asked to stop.
    """
    samples = data.samples(job.request.base_resolution)
    samples = samples[:: -(-len(samples) // _COMPARED_IMAGES)]
    found = detect_at(job, base, data, samples, "base")
    positions = [sample.image for sample in samples]
    objects = [_objects(data, position) for position in positions]
    seen = [_boxes(data, detections, positions) for detections in (found, student)]
    of_base, of_student = (
        [match(boxes, there).f1 for boxes, there in zip(one, objects, strict=True)] for one in seen
    )
    chosen = most_different(of_base, of_student)
    if not chosen:
        return None
    pairs = [
        Pair(data.picture(positions[at]), objects[at], seen[0][at], seen[1][at]) for at in chosen
    ]
    path = folder / COMPARISON
    path.write_bytes(draw(pairs, data.split.classes))
    return path


def _objects(data: DetectionData, position: int) -> Marked:
    """What is to be found in an image; crowds are not."""
    boxes = data.split.boxes
    rows = np.flatnonzero((boxes.images == position) & boxes.ordinary)
    return Marked(boxes.corners[rows], boxes.labels[rows])


def _boxes(
    data: DetectionData, detections: Sequence[Detection], positions: Sequence[int]
) -> list[Marked]:
    by_image: dict[int, list[Detection]] = defaultdict(list)
    for one in detections:
        by_image[one["image_id"]].append(one)
    labels = {number: label for label, number in enumerate(data.split.category_numbers)}
    numbers = data.split.image_numbers
    return [Marked.confident(by_image[numbers[position]], labels) for position in positions]
