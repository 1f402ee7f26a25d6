import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detnas.own_data.coco_json import DataError
from detnas.records.settings import DataLocation
from detnas_trainer.data.annotations import (
    check_same_categories,
    data_digest,
    read_split,
)
from tests.trainer.conftest import edit_json

Change = Callable[[dict[str, Any]], object]


def _annotations(data: DataLocation, name: str = "train.json") -> Path:
    return Path(data.root) / name


def _in(part: str, position: int, **values: Any) -> Change:
    return lambda document: document[part][position].update(values)


def _without(part: str, key: str) -> Change:
    return lambda document: document[part][0].pop(key)


def test_sound_split_is_described(own_data: DataLocation) -> None:
    split = read_split(_annotations(own_data), "train")
    assert split.files == {f"{n}.png": (64, 64) for n in range(3)}
    assert split.classes == ("disc", "square")
    assert (int(split.boxes.ordinary.sum()), split.empty_images) == (6, 0)
    boxes = json.loads(_annotations(own_data).read_text())["annotations"]
    assert split.largest_objects == {(64, 64): max(entry["bbox"][2] for entry in boxes)}


def test_class_ids_may_have_holes_and_classes_keep_the_files_order(own_data: DataLocation) -> None:
    edit_json(_annotations(own_data), lambda document: document["categories"].reverse())
    split = read_split(_annotations(own_data), "train")
    assert split.categories == ((7, "square"), (3, "disc"))
    assert split.category_numbers == (2, 1)


def test_images_without_boxes_and_boxes_without_area_are_counted(own_data: DataLocation) -> None:
    path = _annotations(own_data)

    def change(document: dict[str, Any]) -> None:
        document["annotations"] = document["annotations"][:3]  # two of image 0, one of image 1
        document["annotations"][2]["bbox"][3] = 0

    edit_json(path, change)
    split = read_split(path, "train")
    assert split.boxes.used.tolist() == [True, True, False]
    assert split.boxes.too_small.tolist() == [False, False, True]
    assert split.empty_images == 2


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
        (_in("images", 1, width=0), r"images\[1\] .* width is 0"),
        (_in("images", 1, file_name="a\0b"), r"images\[1\] .* file_name is 'a\\x00b'"),
        (_in("images", 1, file_name="\ud800.png"), r"images\[1\] .* file_name is"),
        (_in("categories", 1, id=3), "categories has 3 twice"),
        (_in("categories", 1, name="disc"), "category names has 'disc' twice"),
        (_in("annotations", 1, id=1000), "annotations has 1000 twice"),
        (_in("annotations", 1, image_id=9), r"annotations\[1\]: image_id is 9"),
        (_in("annotations", 1, category_id=4), r"annotations\[1\]: category_id is 4"),
    ],
)
def test_broken_annotations_are_refused_with_the_position(
    own_data: DataLocation, change: Change, named: str
) -> None:
    path = _annotations(own_data)
    edit_json(path, change)
    with pytest.raises(DataError, match=named) as caught:
        read_split(path, "train")
    assert str(caught.value).startswith("train: ")
    assert caught.value.remedy


_WRONG: dict[str, list[object]] = {
    "id": ["7", 7.0, True, None],
    "image_id": ["100", None, 100.0],
    "category_id": ["3", None, True],
    "bbox": [
        None, "1,2,3,4", [1, 2, 3], [1, 2, None, 4], [1, 2, "3", 4], [1, 2, True, 4],
        [1, 2, -3, 4], [1, 2, 3, float("nan")], [float("inf"), 2, 3, 4], [1, 2, 3, 10**400],
        [1e300, 2, 3, 4],
    ],
    "area": ["9", None, True, float("nan"), 1e11, 10**400],
    "iscrowd": ["0", "1", None, 2, -1, 0.0],
    "ignore": ["0", 2, []],
}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in _WRONG.items() for value in values]
)
def test_annotation_value_of_another_type_or_range_is_refused(
    own_data: DataLocation, key: str, value: object
) -> None:
    path = _annotations(own_data)
    edit_json(path, _in("annotations", 1, **{key: value}))
    with pytest.raises(DataError, match=rf"^train: annotations\[1\] of .*: {key} is ") as caught:
        read_split(path, "train")
    assert caught.value.remedy
    assert len(str(caught.value)) < len(str(path)) + 300


@pytest.mark.parametrize(
    ("key", "value"), [("iscrowd", False), ("iscrowd", True), ("ignore", None), ("ignore", False)]
)
def test_flags_may_be_true_or_false_and_ignore_may_be_null(
    own_data: DataLocation, key: str, value: object
) -> None:
    path = _annotations(own_data)
    edit_json(path, _in("annotations", 1, **{key: value}))
    boxes = read_split(path, "train").boxes
    assert bool(boxes.ordinary[1]) is not (key == "iscrowd" and value)


def test_box_with_a_negative_area_is_too_small(own_data: DataLocation) -> None:
    path = _annotations(own_data)
    edit_json(path, _in("annotations", 1, area=-9))
    assert read_split(path, "train").boxes.too_small.tolist() == [False, True] + [False] * 4


@pytest.mark.parametrize("key", ["width", "height"])
@pytest.mark.parametrize("value", ["64", None, True, 64.0, 0, -64, 10**400])
def test_image_size_of_another_type_or_range_is_refused(
    own_data: DataLocation, key: str, value: object
) -> None:
    path = _annotations(own_data)
    edit_json(path, _in("images", 1, **{key: value}))
    with pytest.raises(DataError, match=rf"images\[1\] of .*: {key} is "):
        read_split(path, "train")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"{", "is no JSON"),
        (b"\xff\xfe\x00", "is UTF-16"),
        ('{"images": []}'.encode("utf-16"), "is UTF-16"),
        ('{"images": []}'.encode("utf-16-le"), "is UTF-16"),
        ('{"images": []}'.encode("utf-32"), "is UTF-16 or UTF-32"),
        ('{\n"name": "W\u00fcrfel"}'.encode("latin-1"), r"is not UTF-8 \(byte 0xfc in line 2\)"),
        (b"[" * 100_000, "is no JSON"),
        (b'{"images": ' + b"9" * 5000 + b"}", "is no JSON"),
        (b"", "is no JSON"),
        (b"[]", "holds a list"),
    ],
)
def test_other_file_contents_are_refused(tmp_path: Path, content: bytes, named: str) -> None:
    path = tmp_path / "train.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"^train: {path} {named}"):
        read_split(path, "train")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="val: cannot read .*absent.json"):
        read_split(tmp_path / "absent.json", "val")


def test_corners_taken_for_sizes_are_refused(own_data: DataLocation) -> None:
    def to_corners(document: dict[str, Any]) -> None:
        for entry in document["annotations"]:
            x, y, width, height = entry["bbox"]
            entry["bbox"] = [x, y, x + width, y + height]

    path = _annotations(own_data)
    edit_json(path, to_corners)
    with pytest.raises(DataError, match=r"boxes reach beyond .*not corners"):
        read_split(path, "train")


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize(
    ("values", "counted"),
    [
        ({"iscrowd": 1}, "mark crowds"),
        ({"bbox": [9, 9, 0, 9]}, "are below one pixel or have no area"),
        ({"area": 0}, "are below one pixel or have no area"),
        ({"bbox": [-90, 9, 20, 20]}, "are outside their images"),
        ({"ignore": 1}, "are marked with ignore"),
    ],
)
def test_split_without_an_ordinary_box_is_refused(
    own_data: DataLocation, split: str, values: dict[str, Any], counted: str
) -> None:
    path = _annotations(own_data, f"{split}.json")
    edit_json(path, lambda document: [box.update(values) for box in document["annotations"]])
    with pytest.raises(DataError, match=rf"no box that can be learnt: of (\d), \1 {counted}"):
        read_split(path, split)


def test_relative_coordinates_are_recognised(own_data: DataLocation) -> None:
    def shares(document: dict[str, Any]) -> None:
        for annotation in document["annotations"]:
            annotation["bbox"] = [side / 64 for side in annotation["bbox"]]

    path = _annotations(own_data)
    edit_json(path, shares)
    with pytest.raises(DataError, match="all 6 boxes are between 0 and 1.*in pixels"):
        read_split(path, "train")


def test_boxes_that_fit_exchanged_sizes_only_are_recognised(own_data: DataLocation) -> None:
    def wide(document: dict[str, Any]) -> None:
        for image in document["images"]:
            image.update(width=64, height=128)
        for annotation in document["annotations"]:
            annotation["bbox"][0] += 64

    path = _annotations(own_data)
    edit_json(path, wide)
    with pytest.raises(DataError, match=r"they fit if the images' width and height are exch"):
        read_split(path, "train")


def test_byte_order_mark_and_letters_of_all_kinds_are_read(own_data: DataLocation) -> None:
    path = _annotations(own_data)
    document = json.loads(path.read_text())
    document["categories"][0]["name"] = "W\u00fcrfel \u9aa8"
    text = json.dumps(document, ensure_ascii=False)
    plain = read_split(_rewritten(path, text.encode()), "train")
    marked = read_split(_rewritten(path, b"\xef\xbb\xbf" + text.encode()), "train")
    assert plain.classes == marked.classes == ("W\u00fcrfel \u9aa8", "square")
    assert plain.files == marked.files


def _rewritten(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_ids_of_any_kind_become_numbers_from_one_in_their_own_order(
    own_data: DataLocation,
) -> None:
    ids = {100: 2**64, 101: 0, 102: -5}

    def renamed(document: dict[str, Any]) -> None:
        for image in document["images"]:
            image["id"] = ids[image["id"]]
        for number, annotation in enumerate(document["annotations"]):
            annotation.update(id=-number, image_id=ids[annotation["image_id"]])

    path = _annotations(own_data)
    edit_json(path, renamed)
    split = read_split(path, "train")
    assert split.image_numbers == (3, 2, 1)
    assert split.boxes.images.tolist() == [0, 0, 1, 1, 2, 2]
    assert split.category_numbers == (1, 2)


def test_name_in_two_unicode_forms_is_one_name(own_data: DataLocation) -> None:
    path = _annotations(own_data)
    edit_json(path, _in("images", 0, file_name="caf\u00e9.png"))
    edit_json(path, _in("images", 1, file_name="cafe\u0301.png"))
    with pytest.raises(DataError, match="file_name of images has .* twice"):
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
    edit_json(_annotations(own_data, "val.json"), change)
    train = read_split(_annotations(own_data), "train")
    val = read_split(_annotations(own_data, "val.json"), "val")
    with pytest.raises(DataError, match=named):
        check_same_categories(train, val)


def test_digest_follows_every_content(own_data: DataLocation) -> None:
    def digest() -> str:
        return data_digest(
            read_split(_annotations(own_data), "train"),
            read_split(_annotations(own_data, "val.json"), "val"),
        )

    first = digest()
    assert digest() == first
    edit_json(_annotations(own_data, "val.json"), _in("annotations", 0, area=5))
    assert digest() != first
