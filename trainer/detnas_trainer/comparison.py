"""Where two detectors differ most: a picture of validation images with the boxes of both."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from detnas.records.artifacts import MAX_COMPARISON_BYTES
from detnas_trainer.bootstrap import Detection

CONFIDENCE = 0.3
"""Boxes below are neither counted nor drawn."""

OVERLAP = 0.5
"""IoU from which a box is that of an object."""

ROWS = 6
"""Most images in the picture."""

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Marked:
    """Boxes of one image: left, top, right, bottom in pixels (n, 4), and their classes (n)."""

    corners: NDArray[np.float64]
    labels: NDArray[np.int64]

    @classmethod
    def confident(cls, detections: Iterable[Detection], labels: dict[int, int]) -> Self:
        """The confident detections of one image, the most confident first.

        Args:
            detections: in COCO's form.
            labels: position of each class by its number.
        """
        kept = [one for one in detections if one["score"] >= CONFIDENCE]
        kept.sort(key=lambda one: one["score"], reverse=True)
        sides = np.array([one["bbox"] for one in kept], dtype=float).reshape(-1, 4)
        corners = np.hstack([sides[:, :2], sides[:, :2] + sides[:, 2:]])
        return cls(corners, np.array([labels[one["category_id"]] for one in kept], dtype=np.int64))


@dataclass(frozen=True)
class Matches:
    """Which boxes are an object's, and which objects were found."""

    right: NDArray[np.bool_]
    found: NDArray[np.bool_]

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 if there is nothing to find and no box."""
        total = len(self.right) + len(self.found)
        return 2 * float(self.right.sum()) / total if total else 1.0


def match(boxes: Marked, objects: Marked) -> Matches:
    """Match boxes with objects of their class, the most confident box first.

    Args:
        boxes: of a detector, by falling confidence.
        objects: that are to be found.
    """
    right = np.zeros(len(boxes.labels), dtype=bool)
    found = np.zeros(len(objects.labels), dtype=bool)
    overlaps = _overlaps(boxes.corners, objects.corners)
    for row, label in enumerate(boxes.labels):
        free = np.where(~found & (objects.labels == label), overlaps[row], 0.0)
        if free.size and free.max() >= OVERLAP:
            right[row] = found[free.argmax()] = True
    return Matches(right, found)


def _overlaps(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU of each box of one with each of the other (n, m)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.clip(one[:, 2:] - one[:, :2], 0, None).prod(axis=1) for one in (first, second)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def most_different(base: Sequence[float], student: Sequence[float], count: int = ROWS) -> list[int]:
    """Positions of the images whose F1 differs most, the largest difference first.

    Images with equal F1 are left out; of equal differences, the earlier image comes first.
    """
    gaps = np.abs(np.asarray(student) - np.asarray(base))
    order = np.argsort(-gaps, kind="stable")[:count]
    return [int(place) for place in order if gaps[place] > 0]


@dataclass(frozen=True)
class Pair:
    """One image as the base and the student see it.

    Attributes:
        image: (height, width, 3) of BGR.
        objects: that are to be found.
        base: its confident boxes.
        student: likewise.
    """

    image: Image
    objects: Marked
    base: Marked
    student: Marked


_CELL = 320
"""Pixels: width and most height of an image."""

_STRIP = 20
"""Pixels: height of the line above an image."""

_GAP = 4
"""Pixels between the two detectors."""

_RIGHT, _WRONG, _MISSED = (60, 180, 60), (50, 50, 230), (0, 170, 255)
"""Green, red and orange, in BGR."""


def draw(pairs: Sequence[Pair], classes: Sequence[str]) -> bytes:
    """Draw the base beside the student, an image in each row, as a JPEG.

    Green boxes are right, red ones are not; orange marks an object that was missed.

    Args:
        pairs: at least one.
        classes: names, in the order of the labels.
    """
    rows = []
    for pair in pairs:
        base = _cell("base", pair, pair.base, classes)
        student = _cell("student", pair, pair.student, classes)
        gap = np.full((len(base), _GAP, 3), 255, np.uint8)
        rows.append(np.hstack([base, gap, student]))
    return _encoded(np.vstack(rows))


def _encoded(picture: Image) -> bytes:
    for quality in (85, 70, 50, 30, 15):
        _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if len(encoded) <= MAX_COMPARISON_BYTES:
            break
    return encoded.tobytes()


def _cell(name: str, pair: Pair, boxes: Marked, classes: Sequence[str]) -> Image:
    matches = match(boxes, pair.objects)
    height, width = pair.image.shape[:2]
    scale = _CELL / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = cv2.resize(pair.image, size, interpolation=cv2.INTER_AREA)
    _box(picture, pair.objects, ~matches.found, scale, _MISSED, classes)
    _box(picture, boxes, ~matches.right, scale, _WRONG, classes)
    _box(picture, boxes, matches.right, scale, _RIGHT, classes)
    cell = np.full((_STRIP + size[1], _CELL, 3), 255, np.uint8)
    cell[_STRIP:, : size[0]] = picture
    _write(cell, f"{name}: F1 {matches.f1:.2f}", (4, 14), (0, 0, 0))
    return cell


def _box(
    picture: Image,
    boxes: Marked,
    shown: NDArray[np.bool_],
    scale: float,
    colour: tuple[int, int, int],
    classes: Sequence[str],
) -> None:
    corners = (boxes.corners[shown] * scale).round().astype(int).tolist()
    for (left, top, right, bottom), label in zip(corners, boxes.labels[shown], strict=True):
        cv2.rectangle(picture, (left, top), (right, bottom), colour, 2)
        _tag(picture, classes[label], (left, top), colour)


def _tag(picture: Image, text: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """Write a class above the corner of its box, or within the picture if there is no room."""
    (width, height), _ = cv2.getTextSize(_plain(text), _FONT, _SCALE, 1)
    left = max(0, min(at[0] - 1, picture.shape[1] - width - 4))
    bottom = max(at[1], height + 5)
    corner = (left + width + 3, bottom)
    cv2.rectangle(picture, (left, bottom - height - 5), corner, colour, cv2.FILLED)
    _write(picture, text, (left + 2, bottom - 3), _WHITE)


_FONT, _SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.4
_WHITE = (255, 255, 255)


def _plain(text: str) -> str:
    """OpenCV draws no other letters than ASCII's."""
    return text.encode("ascii", "replace").decode()


def _write(picture: Image, text: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    cv2.putText(picture, _plain(text), at, _FONT, _SCALE, colour, 1, cv2.LINE_AA)
