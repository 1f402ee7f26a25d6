"""How uncertain mAP is: its bootstrap over the images of a split.

Every replicate draws as many images as there are, with replacement, and is mAP on these (Efron and
Tibshirani, An Introduction to the Bootstrap, chapter 6). All detectors that are scored on the same
images get the same draws, so the differences between two detectors' replicates are those of a
paired bootstrap.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

REPLICATES = 200

_MAX_ELEMENTS = 4_000_000
"""Of one array: replicates by detections of a class."""

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
    overlaps: list[tuple[slice, Floats, list[bool]]] = []
    for place, image in enumerate(settings.imgIds):
        kept = sorted(scores.get(image, ()), reverse=True)[: settings.maxDets[-1]]
        images += [place] * len(kept)
        confidences += kept
        if kept and image in crowds:
            rows = slice(len(images) - len(kept), len(images))
            overlaps.append((rows, evaluation.ious[image, category], crowds[image]))
    matched = np.zeros((len(images), len(thresholds)), dtype=bool)
    ignored = np.zeros_like(matched)
    for rows, ious, is_crowd in overlaps:
        if any(is_crowd):
            on_crowd = np.array(is_crowd)
            matched[rows] = _match(ious[:, ~on_crowd], thresholds)
            ignored[rows] = ~matched[rows] & (ious[:, on_crowd].max(axis=1)[:, None] >= thresholds)
        else:
            matched[rows] = _match(ious, thresholds)
    order = np.argsort(-np.array(confidences), kind="stable")
    objects = np.array([crowds.get(image, []).count(False) for image in settings.imgIds])
    places = np.array(images, dtype=np.int64)
    return ClassMatches(places[order], matched[order], ignored[order], objects)


def _match(ious: Floats, thresholds: Floats) -> Booleans:
    """Match one image's detections of one class, the most confident first, as COCO does.

    Each takes the free object of highest IoU; what takes none is ignored if it is in a crowd.

    Args:
        ious: IoU of each with the objects that are no crowds (D × O).
        thresholds: of the IoU, rising (T).

    Returns:
        whether each is matched at each threshold (D × T).
    """
    candidates = ious[:, :, None] >= thresholds  # D × O × T
    if ious.shape[1] > 1 and candidates[:, :, 0].sum(axis=1).max() > 1:
        return _match_one_by_one(ious, thresholds)
    # Whoever comes first takes the object.
    return np.asarray((candidates & (candidates.cumsum(axis=0) == 1)).any(axis=1))


def _match_one_by_one(ious: Floats, thresholds: Floats) -> Booleans:
    """`_match` where boxes have a choice of objects."""
    matched = np.zeros((len(ious), len(thresholds)), dtype=bool)
    ious = ious[:, ::-1]  # of equal IoUs, COCO takes the last object
    free = np.ones((ious.shape[1], len(thresholds)), dtype=bool)
    for row in np.flatnonzero((ious >= thresholds[0]).any(axis=1)):
        candidates = (ious[row][:, None] >= thresholds) & free
        matched[row] = candidates.any(axis=0)
        best = np.where(candidates, ious[row][:, None], -1).argmax(axis=0)
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
        rows = max(1, _MAX_ELEMENTS // max(1, len(one.images)))
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
    total, replicates = np.zeros(len(counts)), np.arange(len(counts))
    places = np.flatnonzero(one.matched.any(axis=1))  # P; only there does recall rise
    if not len(places):
        return total
    last = places[-1] + 1
    each = counts.T[one.images[:last]].astype(np.float64)  # D × R
    found = _running(each, places)
    reached = _recalls_reached(objects, recalls)
    for matched, ignored in zip(one.matched[places].T, one.ignored[:last].T, strict=True):
        counted = found - _running(each * ignored[:, None], places) if ignored.any() else found
        right = _accumulate(np.add, each[places[matched]])
        precision = right / np.maximum(counted[matched], 1)
        _accumulate(np.maximum, precision[::-1])  # of all that follow, the highest
        recall = reached.take(right.astype(np.intp) * len(counts) + replicates)
        recall[1:] -= recall[:-1].copy()  # what each match adds
        total += (precision * recall).sum(axis=0)
    return np.asarray(total / (len(recalls) * one.matched.shape[1]))


def _running(each: Floats, places: NDArray[np.intp]) -> Floats:
    """Sums of all rows up to each of some places, that included; the last row is one (P × R)."""
    return _accumulate(np.add, np.add.reduceat(each, np.append(0, places[:-1] + 1), axis=0))


def _accumulate(combine: np.ufunc, rows: Floats) -> Floats:
    """`ufunc.accumulate` over the rows, in place: a row at a time is several times as fast."""
    for before, row in pairwise(rows):
        combine(before, row, out=row)
    return rows


def _recalls_reached(objects: NDArray[np.int64], recalls: Floats) -> NDArray[np.intp]:
    """How many recalls are reached with 0, 1, 2, … matches, in each replicate (M · R).

    Args:
        objects: in each replicate (R).
        recalls: rising.
    """
    numbers = np.arange(objects.max(initial=0) + 1)[:, None]
    return np.searchsorted(recalls, numbers / np.maximum(objects, 1), side="right").ravel()
