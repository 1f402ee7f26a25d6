import numpy as np
import pytest

from detnas_trainer.data.boxes import Boxes


def _boxes(*sides: list[float], **values: list[int]) -> Boxes:
    """Boxes on one image of 64x48."""
    count = len(sides)
    return Boxes(
        images=np.zeros(count, np.int64),
        labels=np.zeros(count, np.int64),
        sides=np.array(sides, np.float64),
        areas=np.array(values.get("areas", [100] * count), np.float64),
        crowds=np.array(values.get("crowds", [0] * count), bool),
        marked=np.array(values.get("marked", [0] * count), bool),
        sizes=np.array([[64, 48]] * count, np.float64),
    )


@pytest.mark.parametrize(
    ("box", "fate"),
    [
        ([0, 0, 64, 48], "ordinary"),
        ([5, 5, 1, 1], "ordinary"),
        ([5, 5, 0.999, 20], "too_small"),
        ([5, 5, 20, 0], "too_small"),
        ([64, 5, 20, 20], "outside"),
        ([-20, 5, 20, 20], "outside"),
        ([5, 48, 20, 20], "outside"),
        ([5, -30, 20, 20], "outside"),
        ([63.9999999, 5, 20, 20], "outside"),
        ([63.9, 5, 20, 20], "ordinary"),
        ([500, 500, 0, 0], "too_small"),
    ],
)
def test_every_box_has_exactly_one_use(box: list[float], fate: str) -> None:
    boxes = _boxes(box)
    fates = {name: bool(getattr(boxes, name)[0]) for name in ("ordinary", "too_small", "outside")}
    assert fates == {name: name == fate for name in fates}
    assert bool(boxes.used[0]) == (fate == "ordinary")


def test_crowds_are_used_but_not_ordinary_and_marked_boxes_are_neither() -> None:
    boxes = _boxes([5, 5, 9, 9], [5, 5, 9, 9], [5, 5, 0, 9], crowds=[1, 0, 0], marked=[0, 1, 1])
    assert boxes.used.tolist() == [True, False, False]
    assert not boxes.ordinary.any()
    assert not boxes.too_small.any()


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ([0, 0, 64, 48], False),
        ([-0.5, 0, 65, 48.9], False),  # rounding
        ([-1.5, 5, 20, 20], True),
        ([5, -3, 20, 20], True),
        ([60, 5, 20, 20], True),
        ([5, 40, 20, 20], True),
        ([70, 5, 20, 20], False),  # outside
    ],
)
def test_boxes_are_clipped_at_every_border(box: list[float], clipped: bool) -> None:
    assert _boxes(box).clipped.tolist() == [clipped]


@pytest.mark.parametrize(
    ("sides", "relative"),
    [
        ([[0.1, 0.2, 0.5, 0.25], [0, 0, 1, 1]], True),
        ([[0, 0, 1, 1]], True),
        ([[0, 0, 0, 0]], False),
        ([[0.1, 0.2, 0.5, 0.25], [5, 5, 0.5, 0.5]], False),
        ([[-0.1, 0.2, 0.5, 0.25]], False),
    ],
)
def test_boxes_within_the_unit_square_are_relative(
    sides: list[list[float]], relative: bool
) -> None:
    assert _boxes(*sides).relative is relative
