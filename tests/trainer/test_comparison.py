"""Which images a comparison shows, and what is counted as right in them."""

import cv2
import numpy as np
import pytest

from detnas.records.artifacts import MAX_COMPARISON_BYTES
from detnas_trainer.comparison import Marked, Pair, draw, match, most_different


def marked(*boxes: tuple[float, float, float, float, int]) -> Marked:
    rows = np.array(boxes, dtype=float).reshape(-1, 5)
    return Marked(rows[:, :4], rows[:, 4].astype(int))


OBJECT = (0, 0, 10, 10, 1)


@pytest.mark.parametrize(
    ("boxes", "f1"),
    [
        ([OBJECT], 1.0),
        ([(0, 0, 10, 10, 0)], 0.0),  # of another class
        ([(0, 0, 10, 5.1, 1)], 1.0),  # IoU 0.51
        ([(0, 0, 10, 4.9, 1)], 0.0),  # IoU 0.49
        ([OBJECT, OBJECT], 2 / 3),  # an object is found once
        ([], 0.0),
    ],
)
def test_f1_counts_each_object_once(
    boxes: list[tuple[float, float, float, float, int]], f1: float
) -> None:
    assert match(marked(*boxes), marked(OBJECT)).f1 == pytest.approx(f1)


def test_empty_image_without_a_box_is_right() -> None:
    assert match(marked(), marked()).f1 == 1
    assert match(marked(OBJECT), marked()).f1 == 0


def test_only_confident_detections_count_the_most_confident_first() -> None:
    detections = [
        {"bbox": [0, 0, 4, 2], "score": score, "category_id": 7, "image_id": 1}
        for score in (0.29, 0.5, 0.9)
    ]
    detections[2]["bbox"] = [1, 1, 4, 2]
    boxes = Marked.confident(detections, {3: 0, 7: 1})
    assert boxes.corners.tolist() == [[1, 1, 5, 3], [0, 0, 4, 2]]
    assert boxes.labels.tolist() == [1, 1]


def test_images_that_differ_most_come_first_and_equal_ones_not_at_all() -> None:
    base, student = [0.5, 1.0, 0.25, 0.5], [0.5, 0.0, 0.75, 1.0]
    assert most_different(base, student) == [1, 2, 3]
    assert most_different(base, student, count=1) == [1]


def test_picture_has_a_row_for_each_image_and_a_bounded_size() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (640, 480, 3), dtype=np.uint8)
    pair = Pair(noise, marked(OBJECT), marked(), marked((0, 0, 200, 300, 0)))
    encoded = draw([pair] * 6, ("dog", "Straße"))
    assert len(encoded) <= MAX_COMPARISON_BYTES
    decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape == (6 * (320 + 20), 320 + 4 + 320, 3)


def test_missed_objects_are_orange_and_wrong_boxes_red() -> None:
    grey = np.full((320, 320, 3), 128, np.uint8)
    pair = Pair(grey, marked((100, 100, 200, 200, 0)), marked(), marked((250, 250, 300, 300, 0)))
    picture = cv2.imdecode(np.frombuffer(draw([pair], ("dog",)), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    blue, green, red = picture[20 + 150, 200].astype(int)  # the right edge of the missed object
    assert red > 200 > green > 120 > blue
    blue, green, red = picture[20 + 275, 320 + 4 + 300].astype(int)
    assert red > 180
    assert max(blue, green) < 110


def test_class_is_written_above_its_box_and_always_within_the_picture() -> None:
    black = np.zeros((320, 320, 3), np.uint8)
    boxes = ((100, 100, 200, 200, 0), (290, 0, 320, 100, 0))
    pair = Pair(black, marked(*boxes), marked(), marked(*boxes))
    picture = cv2.imdecode(np.frombuffer(draw([pair], ("dog",)), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    student = picture[20:, 324:].astype(int)
    tags = [student[86:100, 99:125], student[0:14, 290:320]]
    for tag in tags:
        assert tag.max() > 230, "white letters"
        assert (tag[..., 1] > 100).mean() > 0.7, "on the box's green"
