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
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

REPLICATES = 200

_MAX_ELEMENTS = 4_000_000
"""Of one array: replicates by detections of a class by IoU thresholds."""

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
    candidates = objects[:, :, None] >= thresholds  # D × O × T
    if (candidates[:, :, 0].sum(axis=1) <= 1).all():  # whoever comes first takes the object
        matched = (candidates & (candidates.cumsum(axis=0) == 1)).any(axis=1)
    else:
        matched = _match_one_by_one(objects, thresholds)
    ignored = np.zeros_like(matched)
    for row in np.flatnonzero((crowds >= thresholds[0]).any(axis=1)):
        ignored[row] = ~matched[row] & (crowds[row].max() >= thresholds)
    return matched, ignored


def _match_one_by_one(objects: Floats, thresholds: Floats) -> Booleans:
    """`_match` where boxes have a choice of objects, without crowds."""
    matched = np.zeros((len(objects), len(thresholds)), dtype=bool)
    objects = objects[:, ::-1]  # of equal IoUs, COCO takes the last object
    free = np.ones((objects.shape[1], len(thresholds)), dtype=bool)
    for row in np.flatnonzero((objects >= thresholds[0]).any(axis=1)):
        candidates = (objects[row][:, None] >= thresholds) & free
        matched[row] = candidates.any(axis=0)
        best = np.where(candidates, objects[row][:, None], -1).argmax(axis=0)
        taken = np.flatnonzero(matched[row])
        free[best[taken], taken] = False
    return matched


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
    total, present = np.zeros(len(counts)), np.zeros(len(counts))
    for one in classes:
        objects = counts @ one.objects
        rows = max(1, _MAX_ELEMENTS // max(1, one.matched.size))
        for start in range(0, len(counts), rows):
            part = slice(start, start + rows)
            total[part] += _average_precision(one, counts[part], objects[part], recalls)
        present += objects > 0  # like COCO's mAP, of the classes that there are
    with np.errstate(invalid="ignore"):
        return np.asarray(total / present)


def _average_precision(
    one: ClassMatches, counts: NDArray[np.int64], objects: NDArray[np.int64], recalls: Floats
) -> Floats:
    """AP of a class in some replicates, the mean over the IoU thresholds; 0 without an object."""
    places = np.flatnonzero(one.matched.any(axis=1))  # P; only there does recall rise
    each = counts.T[one.images].astype(np.float32)  # D × R
    matched = one.matched[places, :, None]
    counted = each.cumsum(axis=0)[places, None]  # P × 1 × R
    if one.ignored.any():
        left_out = each[:, None] * one.ignored[:, :, None]
        counted = counted - left_out.cumsum(axis=0)[places]  # P × T × R
    right = (each[places, None] * matched).cumsum(axis=0)
    precision = right / np.maximum(counted, 1).astype(np.float64)
    # Of all that follow, the highest; only at a match does precision rise.
    precision = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    steps = np.diff(_recalls_reached(right.astype(np.int64), objects, recalls), axis=0, prepend=0)
    return np.asarray((precision * steps).sum(axis=(0, 1)) / (len(recalls) * matched.shape[1]))


def _recalls_reached(
    right: NDArray[np.int64], objects: NDArray[np.int64], recalls: Floats
) -> NDArray[np.int64]:
    """How many recalls are reached with so many matches (… × R), of so many objects (R)."""
    numbers = np.arange(objects.max(initial=0) + 1)[:, None]
    reached = np.searchsorted(recalls, numbers / np.maximum(objects, 1), side="right")
    return np.asarray(reached.ravel()[right * len(objects) + np.arange(len(objects))])
