from datetime import UTC, datetime
from typing import Any

import pytest

from detnas.plan.data_remarks import data_remarks
from detnas.records.results import PrepareResult, SplitSummary

START = datetime(2026, 5, 1, tzinfo=UTC)


def _split(**counts: Any) -> SplitSummary:
    return SplitSummary(**{"sha256": "0", "images": 9, "boxes": 20, "empty_images": 0, **counts})


def _result(**splits: SplitSummary) -> PrepareResult:
    return PrepareResult(started=START, finished=START, **splits)


def test_data_remarks_are_empty_for_a_plain_dataset_and_an_earlier_record() -> None:
    assert data_remarks(_result(train=_split(), val=_split())) == ()
    earlier = {"sha256": "0", "images": 9, "boxes": 20, "emptyImages": 0}
    assert data_remarks(_result(train=SplitSummary.model_validate(earlier))) == ()
    assert data_remarks(_result()) == ()


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"too_small": 3}, "boxes ignored: 3 of 23 (3 below one pixel)"),
        (
            {"outside": 2, "marked": 3},
            "boxes ignored: 5 of 25 (2 outside their images, 3 marked with ignore)",
        ),
        ({"clipped": 1}, "boxes clipped at the image's border: 1"),
        ({"crowds": 4}, "boxes for crowds, which are not learnt: 4"),
        ({"empty_images": 2}, "images without boxes: 2 of 9"),
        ({"classes_without_boxes": ("cat", "dog")}, "classes without boxes: cat, dog"),
        (
            {"classes_without_boxes": tuple("abcdefgh")},
            "classes without boxes: a, b, c, d, e and 3 more",
        ),
    ],
)
def test_data_remarks_state_each_count_with_its_split(counts: dict[str, Any], said: str) -> None:
    assert data_remarks(_result(train=_split(), val=_split(**counts))) == (f"val: {said}",)


def test_data_remarks_have_one_line_per_split() -> None:
    bent = _split(empty_images=2, turned_images=5)
    lines = data_remarks(_result(train=bent, val=bent))
    assert [line.split(":")[0] for line in lines] == ["train", "val"]
    assert (
        "images without boxes: 2 of 9; images turned or mirrored by EXIF orientation: 5 ("
        in lines[0]
    )
    assert "as on the displayed image" in lines[0]
