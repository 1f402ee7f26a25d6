from datetime import UTC, datetime
from typing import Any

import pytest

from detnas.records.data_remarks import data_remarks
from detnas.records.results import PrepareResult, SplitSummary

START = datetime(2026, 5, 1, tzinfo=UTC)


def _split(**counts: Any) -> SplitSummary:
    return SplitSummary(**{"sha256": "0", "images": 9, "boxes": 20, "empty_images": 0, **counts})


def _result(**splits: SplitSummary) -> PrepareResult:
    return PrepareResult(started=START, finished=START, **splits)


def test_nothing_is_said_of_a_plain_data_set_or_of_an_earlier_record() -> None:
    assert data_remarks(_result(train=_split(), val=_split())) == ()
    earlier = {"sha256": "0", "images": 9, "boxes": 20, "emptyImages": 0}
    assert data_remarks(_result(train=SplitSummary.model_validate(earlier))) == ()
    assert data_remarks(_result()) == ()


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"too_small": 3}, "3 of 23 boxes are ignored (3 below one pixel)"),
        (
            {"outside": 2, "marked": 3},
            "5 of 25 boxes are ignored (2 outside their images, 3 marked with ignore)",
        ),
        ({"clipped": 1}, "1 box clipped at the image's border"),
        ({"crowds": 4}, "4 boxes for crowds, which are not learnt"),
        ({"empty_images": 2}, "2 of 9 images have no boxes"),
        ({"classes_without_boxes": ("cat", "dog")}, "no boxes of cat, dog"),
        (
            {"classes_without_boxes": tuple("abcdefgh")},
            "no boxes of a, b, c, d, e and 3 more classes",
        ),
    ],
)
def test_each_count_is_said_in_a_line_of_its_split(counts: dict[str, Any], said: str) -> None:
    assert data_remarks(_result(train=_split(), val=_split(**counts))) == (f"val: {said}",)


def test_one_line_a_split_says_it_all() -> None:
    bent = _split(empty_images=2, turned_images=5)
    lines = data_remarks(_result(train=bent, val=bent))
    assert [line.split(":")[0] for line in lines] == ["train", "val"]
    assert "2 of 9 images have no boxes; 5 images displayed turned or mirrored" in lines[0]
    assert "as on the displayed image" in lines[0]
