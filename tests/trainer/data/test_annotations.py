import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detnas.records.settings import DataLocation
from detnas_trainer.data.annotations import (
    DataError,
    check_same_categories,
    data_digest,
    read_split,
)

Change = Callable[[dict[str, Any]], None]


def _annotations(data: DataLocation, name: str = "train.json") -> Path:
    return Path(data.root) / name


def _edit(path: Path, change: Change) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def _in(part: str, position: int, **values: Any) -> Change:
    return lambda document: document[part][position].update(values)


def _without(part: str, key: str) -> Change:
    return lambda document: document[part][0].pop(key)


def test_a_sound_split_is_described(own_data: DataLocation) -> None:
    split = read_split(_annotations(own_data), "train")
    assert split.files == {f"{n}.png": (64, 64) for n in range(3)}
    assert (split.boxes, split.empty_images, split.ignored) == (6, 0, ())
    boxes = json.loads(_annotations(own_data).read_text())["annotations"]
    assert split.largest_objects == {(64, 64): max(entry["bbox"][2] for entry in boxes)}


def test_class_ids_may_have_holes_and_classes_keep_the_files_order(own_data: DataLocation) -> None:
    def turned(document: dict[str, Any]) -> None:
        document["categories"].reverse()

    _edit(_annotations(own_data), turned)
    split = read_split(_annotations(own_data), "train")
    assert split.categories == ((7, "square"), (3, "disc"))


def test_images_without_boxes_and_boxes_without_area_are_counted(own_data: DataLocation) -> None:
    path = _annotations(own_data)

    def change(document: dict[str, Any]) -> None:
        document["annotations"] = document["annotations"][:3]  # two of image 0, one of image 1
        document["annotations"][2]["bbox"][3] = 0

    _edit(path, change)
    split = read_split(path, "train")
    assert (split.boxes, split.empty_images) == (2, 2)
    assert len(split.ignored) == 1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda d: d.pop("images"), "'images' of"),
        (lambda d: d.update(annotations={}), "'annotations' of .* is a dict"),
        (lambda d: d.update(annotations=[]), "'annotations' of .* is empty"),
        (lambda d: d.update(categories=[]), "'categories' of .* is empty"),
        (_without("annotations", "bbox"), r"annotations\[0\] .* has no 'bbox'"),
        (_without("annotations", "iscrowd"), r"annotations\[0\] .* has no 'iscrowd'"),
        (_without("images", "file_name"), r"images\[0\] .* has no 'file_name'"),
        (_in("images", 1, id="one"), r"images\[1\] .* id is 'one'"),
        (_in("images", 1, file_name=7), r"images\[1\] .* file_name is 7"),
        (_in("categories", 1, name=7), r"categories\[1\] .* name is 7"),
        (_in("categories", 1, name=""), r"categories\[1\] .* name is ''"),
        (_in("images", 1, id=100), "images has 100 twice"),
        (_in("images", 1, file_name="0.png"), "file_name of images has '0.png' twice"),
        (_in("images", 1, width=0), r"images\[1\] is 0x64"),
        (_in("categories", 1, id=3), "categories has 3 twice"),
        (_in("categories", 1, name="disc"), "category names has 'disc' twice"),
        (_in("annotations", 1, id=1000), "annotations has 1000 twice"),
        (_in("annotations", 1, image_id=9), r"annotations\[1\]: image_id is 9"),
        (_in("annotations", 1, category_id=4), r"annotations\[1\]: category_id is 4"),
        (_in("annotations", 1, bbox=[1, 2, -3, 4]), r"annotations\[1\]: bbox is \[1, 2, -3, 4\]"),
        (_in("annotations", 1, bbox=[1, 2, 3]), r"annotations\[1\]: bbox is \[1, 2, 3\]"),
        (_in("annotations", 1, bbox=[1, 2, None, 4]), r"annotations\[1\]: bbox is"),
        (_in("annotations", 1, area="big"), r"annotations\[1\]: area is 'big'"),
    ],
)
def test_a_broken_file_is_refused_with_the_place(
    own_data: DataLocation, change: Change, named: str
) -> None:
    path = _annotations(own_data)
    _edit(path, change)
    with pytest.raises(DataError, match=named) as caught:
        read_split(path, "train")
    assert str(caught.value).startswith("train: ")
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("content", "named"),
    [(b"{", "no JSON"), (b"\xff\xfe\x00", "no JSON"), (b"[]", "holds a list")],
)
def test_what_is_no_annotation_file_is_refused(tmp_path: Path, content: bytes, named: str) -> None:
    path = tmp_path / "train.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=named):
        read_split(path, "train")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="val: can not read .*absent.json"):
        read_split(tmp_path / "absent.json", "val")


def test_corners_taken_for_sizes_are_refused(own_data: DataLocation) -> None:
    path = Path(own_data.root) / own_data.train
    document = json.loads(path.read_text())
    for entry in document["annotations"]:
        x, y, width, height = entry["bbox"]
        entry["bbox"] = [x, y, x + width, y + height]
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"boxes reach beyond .*not corners"):
        read_split(path, "train")


def test_no_box_with_an_area_is_refused(own_data: DataLocation) -> None:
    path = _annotations(own_data)

    def flatten(document: dict[str, Any]) -> None:
        for annotation in document["annotations"]:
            annotation["bbox"][2] = 0

    _edit(path, flatten)
    with pytest.raises(DataError, match="no box with an area"):
        read_split(path, "train")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_in("categories", 0, name="circle"), "only in train: .*disc.*only in val: .*circle"),
        (lambda d: d["categories"].append({"id": 9, "name": "star"}), "only in train: none"),
        (lambda d: d["categories"].reverse(), "in another order"),
    ],
)
def test_splits_with_different_classes_are_refused(
    own_data: DataLocation, change: Change, named: str
) -> None:
    _edit(_annotations(own_data, "val.json"), change)
    train = read_split(_annotations(own_data), "train")
    val = read_split(_annotations(own_data, "val.json"), "val")
    with pytest.raises(DataError, match=named):
        check_same_categories(train, val)


def test_the_digest_follows_every_content(own_data: DataLocation) -> None:
    def digest() -> str:
        return data_digest(
            read_split(_annotations(own_data), "train"),
            read_split(_annotations(own_data, "val.json"), "val"),
        )

    first = digest()
    assert digest() == first
    _edit(_annotations(own_data, "val.json"), _in("annotations", 0, area=5))
    assert digest() != first
