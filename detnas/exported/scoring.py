"""COCO's mAP of detections, by faster-coco-eval or pycocotools, whichever is installed."""

import json
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from detnas.errors import UserError
from detnas.exported.detector import Detections
from detnas.optional_imports import find_module


@dataclass(frozen=True)
class CocoImages:
    """An annotation file: its images, and what is to be found in them.

    Attributes:
        content: of the file.
        images: path of each image, by its id.
        categories: id of each of the detector's classes, in the order of the labels.
    """

    content: dict[str, Any]
    images: dict[int, Path]
    categories: tuple[int, ...]


@dataclass(frozen=True)
class Metrics:
    """COCO's metrics: fractions, or -1 where there is nothing to find."""

    map: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float


def read_coco(annotations: Path, folder: Path, classes: Sequence[str]) -> CocoImages:
    """Read an annotation file in COCO's form.

    Args:
        annotations: the file.
        folder: of its images.
        classes: names that the detector knows, in the order of its labels.

    Raises:
        UserError: the file cannot be used, or lacks one of the classes.
    """
    try:
        content = json.loads(annotations.read_bytes())
        images = {int(one["id"]): folder / one["file_name"] for one in content["images"]}
        by_name = {str(one["name"]): int(one["id"]) for one in content["categories"]}
        content["annotations"]
    except OSError as error:
        raise UserError(f"{annotations}: {error.strerror}", "give an annotation file") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{annotations} is no annotation file in COCO's form: {error!r}",
            "it needs images, categories and annotations",
        ) from error
    missing = [name for name in classes if name not in by_name]
    if missing:
        raise UserError(
            f"{annotations} has no category {missing[0]!r}, which the detector knows",
            f"it has: {', '.join(by_name)}",
        )
    return CocoImages(content, images, tuple(by_name[name] for name in classes))


def coco_results(found: Mapping[int, Detections], coco: CocoImages) -> list[dict[str, Any]]:
    """Detections by image id, as a list in the form of COCO's results."""
    return [
        {
            "image_id": image,
            "category_id": coco.categories[label],
            "bbox": [left, top, right - left, bottom - top],
            "score": score,
        }
        for image, detections in found.items()
        for (left, top, right, bottom), score, label in zip(
            detections.boxes.tolist(),
            detections.scores.tolist(),
            detections.labels.tolist(),
            strict=True,
        )
    ]


def score_detections(found: Mapping[int, Detections], coco: CocoImages) -> Metrics:
    """COCO's metrics of what was found in the images given, by their ids.

    Raises:
        UserError: neither faster-coco-eval nor pycocotools is installed.
    """
    index, evaluator, options = _evaluator()
    results = coco_results(found, coco)
    if not results:
        return Metrics(*[0.0] * 6)
    with redirect_stdout(StringIO()):  # both print what they do
        truth = index()
        truth.dataset = coco.content
        truth.createIndex()
        evaluation = evaluator(truth, truth.loadRes(results), "bbox", **options)
        evaluation.params.imgIds = sorted(found)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return Metrics(*(float(value) for value in evaluation.stats[:6]))


def _evaluator() -> tuple[Any, Any, dict[str, Any]]:
    faster = find_module("faster_coco_eval")
    if faster is not None:
        return faster.COCO, faster.COCOeval_faster, {"extra_calc": False}
    coco, evaluation = find_module("pycocotools.coco"), find_module("pycocotools.cocoeval")
    if coco is None or evaluation is None:
        raise UserError(
            "computing mAP needs faster-coco-eval or pycocotools, and neither is installed",
            "pip install faster-coco-eval, or everything that exported files need: "
            "pip install 'detnas[export]'",
        )
    return coco.COCO, evaluation.COCOeval, {}
