"""YOLO and Pascal VOC become the same COCO, once, beside the source."""

import sys

import pytest

from detnas.errors import UserError
from detnas.own_data import converting
from detnas.own_data.source import find_data
from tests.detnas.own_data.data_sets import (
    CLASSES,
    boxes_by_image,
    coco,
    draw,
    make_voc,
    make_yolo,
)

THREE = {"train": 6, "val": 3, "test": 2}
MAKERS = {"YOLO": make_yolo, "Pascal VOC": make_voc}


@pytest.mark.parametrize("form", MAKERS)
def test_boxes_and_splits_are_those_of_the_source(tmp_path, form):
    root = MAKERS[form](tmp_path / "pets", THREE)
    own = find_data(root)
    assert own.form == form
    for split, count in THREE.items():
        part = own.parts[split]
        assert part.annotations == tmp_path / "pets-coco" / f"{split}.json"
        assert all((part.images / one["file_name"]).is_file() for one in part.document["images"])
        expected = coco([f"{split}{n:03}.png" for n in range(count)])
        assert boxes_by_image(part.document) == boxes_by_image(expected)
        assert {entry["name"] for entry in part.document["categories"]} == set(CLASSES)


@pytest.mark.parametrize("form", MAKERS)
def test_it_is_converted_once_and_again_after_a_change(tmp_path, form, monkeypatch):
    root = MAKERS[form](tmp_path / "pets", THREE)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    own = find_data(root)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    again = find_data(root)
    assert again.parts == own.parts
    assert "converted before" in again.notes[0]
    draw(root / "images" / "train" / "more.png")
    with pytest.raises(UserError, match="another state of this one"):
        find_data(root)


def test_an_image_without_labels_is_kept_as_empty(tmp_path):
    root = make_yolo(tmp_path / "pets", THREE)
    draw(root / "images" / "train" / "zz.png")
    part = find_data(root).parts["train"]
    assert boxes_by_image(part.document)["zz.png"] == []


def test_a_yolo_folder_without_splits_is_divided(tmp_path):
    root = make_yolo(tmp_path / "pets", {"": 20})
    (root / "data.yaml").write_text("names: {0: cat, 1: dog, 2: bird}\n")
    own = find_data(root)
    sizes = {split: len(part.document["images"]) for split, part in own.parts.items()}
    assert sizes == {"train": 14, "val": 3, "test": 3}


def test_a_turned_image_has_the_size_it_is_displayed_with(tmp_path):
    root = make_yolo(tmp_path / "pets", THREE)
    draw(root / "images" / "train" / "train000.png", (64, 48), exif=_orientation(6))
    images = find_data(root).parts["train"].document["images"]
    assert (images[0]["width"], images[0]["height"]) == (48, 64)


def _orientation(value):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = value
    return exif.tobytes()


def _bad_line(root):
    (root / "labels" / "train" / "train000.txt").write_text("0 0.5 0.5 nan 0.1")


def _missing_folder(root):
    (root / "data.yaml").write_text("train: nowhere\nnames: [cat, dog, bird]\n")


def _same_split_twice(root):
    (root / "data.yaml").write_text(
        "train: images/train\nval: images/train\nnames: [cat, dog, bird]\n"
    )


def _no_labels(root):
    for path in (root / "labels").rglob("*.txt"):
        path.unlink()


def _class_beyond(root):
    (root / "labels" / "train" / "train000.txt").write_text("7 0.5 0.5 0.1 0.1")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_bad_line, r"cannot be read as YOLO: Invalid YOLO annotation file '.*train000.txt'"),
        (_missing_folder, r"data.yaml: train names nowhere, which is no folder"),
        (_same_split_twice, r"train and val are the same images"),
        (_no_labels, r"YOLO with 11 images, and not one box"),
        (_class_beyond, r"train000|class|categor"),
    ],
)
def test_what_is_wrong_with_yolo_is_named(tmp_path, spoil, message):
    root = make_yolo(tmp_path / "pets", THREE)
    spoil(root)
    with pytest.raises(UserError, match=message):
        find_data(root)


def _no_box(root):
    (root / "Annotations" / "train000.xml").write_text(
        "<annotation><object><name>cat</name></object></annotation>"
    )


def _no_xml(root):
    (root / "Annotations" / "train000.xml").write_text("<annotation><object>")


def _in_two_splits(root):
    (root / "ImageSets" / "Main" / "val.txt").write_text("train000\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_no_box, r"cannot be read as Pascal VOC: Missing bndbox"),
        (_no_xml, r"cannot be read as Pascal VOC: no element found"),
        (_in_two_splits, r"val.txt: train000 is in train, too"),
    ],
)
def test_what_is_wrong_with_voc_is_named(tmp_path, spoil, message):
    root = make_voc(tmp_path / "pets", THREE)
    spoil(root)
    with pytest.raises(UserError, match=message):
        find_data(root)


def test_a_missing_package_is_named_with_how_to_get_it(tmp_path, monkeypatch):
    root = make_yolo(tmp_path / "pets", THREE)
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(UserError, match=r"package supervision, which is not installed; pip ins"):
        converting.convert_yolo(root)
