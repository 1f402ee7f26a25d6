"""How uncertain mAP is: its bootstrap over the images of a split.

Every replicate draws as many images as there are, with replacement, and is mAP on these (Efron and
Tibshirani, An Introduction to the Bootstrap, chapter 6). All detectors that are scored on the same
images get the same draws, so the differences between two detectors' replicates are those of a
paired bootstrap.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray
from torch import Tensor

REPLICATES = 200

_MAX_ELEMENTS = 8_000_000
"""Of one tensor: replicates by detections of a class."""

Floats = NDArray[np.floating]
Booleans = NDArray[np.bool_]

_ByImage = dict[int, list[Any]]

Detection = dict[str, Any]
"""One detected box in COCO's form: image_id, category_id, bbox (x, y, width, height), score.

The ids are the reader's numbers, as in the ground truth.
"""


@dataclass(frozen=True)
class ClassMatches:
    """What was found of one class, by falling confidence; of equals, the earlier image's first.

    Attributes:
        images: of each detection, the image's place in the split (D).
        matched: whether it is an object's, at each IoU threshold (D × T).
        ignored: whether it does not count, because it lies on a crowd (D × T).
        objects: of each image, how many objects are to be found (I).
    """

    images: NDArray[np.int64]
    matched: Booleans
    ignored: Booleans
    objects: NDArray[np.int64]


def class_matches(
    evaluation: COCOeval_faster, truth: COCO, detections: Iterable[Detection]
) -> list[ClassMatches]:
    """What an evaluation matched, for each class that has an object.

    Args:
        evaluation: of the detections; it has been run.
        truth: the annotations.
        detections: in the order in which they were evaluated.
    """
    crowds = _by_class_and_image(truth.anns.values(), lambda one: bool(one.get("iscrowd", 0)))
    scores = _by_class_and_image(detections, lambda one: one["score"])
    return [
        _matches_of_class(evaluation, category, scores[category], crowds[category])
        for category in evaluation.params.catIds
        if not all(all(marks) for marks in crowds[category].values())
    ]


def _by_class_and_image(
    boxes: Iterable[dict[str, Any]], value: Callable[[dict[str, Any]], Any]
) -> defaultdict[int, _ByImage]:
    found: defaultdict[int, _ByImage] = defaultdict(dict)
    for box in boxes:
        found[box["category_id"]].setdefault(box["image_id"], []).append(value(box))
    return found


def _matches_of_class(
    evaluation: COCOeval_faster, category: int, scores: _ByImage, crowds: _ByImage
) -> ClassMatches:
    settings = evaluation.params
    thresholds = np.asarray(settings.iouThrs)
    images: list[int] = []
    confidences: list[float] = []
    matches: list[tuple[slice, Booleans, Booleans]] = []
    for place, image in enumerate(settings.imgIds):
        kept = sorted(scores.get(image, ()), reverse=True)[: settings.maxDets[-1]]
        images += [place] * len(kept)
        confidences += kept
        if kept and image in crowds:
            rows = slice(len(images) - len(kept), len(images))
            ious, is_crowd = evaluation.ious[image, category], np.array(crowds[image])
            matches.append((rows, *_match(ious[:, ~is_crowd], ious[:, is_crowd], thresholds)))
    matched = np.zeros((len(images), len(thresholds)), dtype=bool)
    ignored = np.zeros_like(matched)
    for rows, *found in matches:
        matched[rows], ignored[rows] = found
    order = np.argsort(-np.array(confidences), kind="stable")
    objects = np.array([crowds.get(image, []).count(False) for image in settings.imgIds])
    places = np.array(images, dtype=np.int64)
    return ClassMatches(places[order], matched[order], ignored[order], objects)


def _match(objects: Floats, crowds: Floats, thresholds: Floats) -> tuple[Booleans, Booleans]:
    """Match one image's detections of one class, the most confident first, as COCO does.

    Each takes the free object of highest IoU; if there is none, it is ignored if it is in a crowd.

    Args:
        objects: IoU of each with the objects (D × O).
        crowds: IoU of each with the crowds (D × C).
        thresholds: of the IoU, rising (T).

    Returns:
        whether each is matched, and whether it is ignored, at each threshold (D × T).
    """
    matched = np.zeros((len(objects), len(thresholds)), dtype=bool)
    ignored = np.zeros_like(matched)
    objects = objects[:, ::-1]  # of equal IoUs, COCO takes the last object
    free = np.ones((objects.shape[1], len(thresholds)), dtype=bool)
    for row in np.flatnonzero((objects >= thresholds[0]).any(axis=1)):
        candidates = (objects[row][:, None] >= thresholds) & free
        matched[row] = candidates.any(axis=0)
        best = np.where(candidates, objects[row][:, None], -1).argmax(axis=0)
        taken = np.flatnonzero(matched[row])
        free[best[taken], taken] = False
    for row in np.flatnonzero((crowds >= thresholds[0]).any(axis=1)):
        ignored[row] = ~matched[row] & (crowds[row].max() >= thresholds)
    return matched, ignored


def image_counts(images: int, replicates: int = REPLICATES) -> NDArray[np.int64]:
    """How often each replicate has each image (R × I).

    The draws depend on the two numbers alone. They have to stay the same in every version, as
    those of `RandomState` do, because results of different versions are compared.
    """
    random = np.random.RandomState(0)
    draws = random.randint(0, images, (replicates, images))
    rows = images * np.arange(replicates)[:, None]
    counts = np.bincount((draws + rows).ravel(), minlength=replicates * images)
    return counts.reshape(replicates, images)


def map_replicates(
    classes: Sequence[ClassMatches], counts: NDArray[np.int64], recalls: Floats
) -> Floats:
    """MAP of every replicate (R); NaN where a replicate has no object at all.

    Args:
        classes: those with an object.
        counts: how often each replicate has each image (R × I).
        recalls: at which precision is averaged.
    """
    weights, at = torch.from_numpy(counts).float(), torch.from_numpy(recalls)
    total = torch.zeros(len(counts), dtype=torch.float64)
    present = torch.zeros_like(total)
    for one in classes:
        objects = weights.double() @ torch.from_numpy(one.objects).double()
        rows = max(1, _MAX_ELEMENTS // max(1, len(one.images)))
        parts = zip(weights.split(rows), objects.split(rows), strict=True)
        total += torch.cat([_average_precision(one, part, sums, at) for part, sums in parts])
        present += objects > 0  # like COCO's mAP, of the classes that there are
    return (total / present).numpy()


def _average_precision(one: ClassMatches, weights: Tensor, objects: Tensor, at: Tensor) -> Tensor:
    """AP of a class in some replicates, the mean over the IoU thresholds; 0 without an object."""
    each = weights[:, torch.from_numpy(one.images)]
    seen = each.cumsum(1)
    found = torch.zeros(len(weights), dtype=torch.float64)
    for matched, ignored in zip(one.matched.T, one.ignored.T, strict=True):
        places = torch.from_numpy(np.flatnonzero(matched))
        if not len(places):
            continue
        counted = seen[:, places]
        if ignored.any():
            counted = counted - (each * torch.from_numpy(ignored)).cumsum(1)[:, places]
        right = each[:, places].cumsum(1).double()
        precision = right / counted.clamp(min=1)
        # Of all that follow, the highest; only at a match does precision rise.
        precision = precision.flip(1).cummax(1).values.flip(1)
        reached = torch.bucketize(right / objects.clamp(min=1)[:, None], at, right=True)
        steps = reached.diff(dim=1, prepend=torch.zeros_like(reached[:, :1]))
        found += (precision * steps).sum(1)
    return found / (len(at) * one.matched.shape[1])
