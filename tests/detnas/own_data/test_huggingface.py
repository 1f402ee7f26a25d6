"""A dataset that `datasets` saved becomes COCO, with its images as files beside it."""

import pytest

from detnas.errors import UserError
from detnas.own_data.source import find_data
from tests.detnas.own_data.data_sets import boxes_by_image, coco, make_saved

datasets = pytest.importorskip("datasets")

THREE = {"train": 6, "val": 3, "test": 2}


@pytest.mark.parametrize("by_object", [False, True])
def test_boxes_images_and_splits_are_those_of_the_source(tmp_path, by_object):
    root = make_saved(tmp_path / "pets", THREE, by_object=by_object)
    own = find_data(root)
    assert own.form == "Hugging Face"
    for split, count in THREE.items():
        part = own.parts[split]
        found = boxes_by_image(part.document)
        expected = coco([f"{n:07}.png" for n in range(count)])
        assert found == boxes_by_image(expected)
        for number, image in enumerate(part.document["images"], 1):
            content = (part.images / image["file_name"]).read_bytes()
            assert content == (tmp_path / f"{split}{number}.png").read_bytes()


def test_a_dataset_without_splits_is_divided_and_converted_once(tmp_path):
    root = make_saved(tmp_path / "pets", {"train": 20})
    own = find_data(root)
    sizes = {split: len(part.document["images"]) for split, part in own.parts.items()}
    assert sizes == {"train": 14, "val": 3, "test": 3}
    images = tmp_path / "pets-coco" / "images"
    times = {path: path.stat().st_mtime_ns for path in images.rglob("*.png")}
    assert len(times) == 20
    (tmp_path / "pets-coco" / "made-from.json").unlink()
    assert find_data(root, replace=True).parts == own.parts
    assert {path: path.stat().st_mtime_ns for path in images.rglob("*.png")} == times
    assert "converted before" in find_data(root).notes[0]


def test_images_of_another_state_are_replaced_only_on_request(tmp_path):
    """Also by images of as many bytes: searches that have begun need the earlier ones."""
    root = make_saved(tmp_path / "pets", THREE)
    find_data(root)
    images = tmp_path / "pets-coco" / "images"
    first = next(images.rglob("0000000.png"))
    before = {path: path.read_bytes() for path in images.rglob("*.png")}
    first.write_bytes(bytes(len(before[first])))
    state = root / "dataset_dict.json"
    state.write_text(state.read_text() + " ")
    with pytest.raises(UserError, match="another state of this one"):
        find_data(root)
    assert first.read_bytes() == bytes(len(before[first]))
    find_data(root, replace=True)
    assert {path: path.read_bytes() for path in images.rglob("*.png")} == before


def _saved(root, columns):
    datasets.Dataset.from_dict(columns).save_to_disk(str(root))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["a"]}, r"no column image and no column objects, only text"),
        (
            {"image": ["a.png"], "objects": [{"category": [0]}]},
            r"objects has none of bbox, bboxes, boxes, only category",
        ),
        (
            {"image": ["a.png"], "objects": [{"bbox": [[0, 0, 1, 1]], "category": [0]}]},
            r"objects.category has numbers without names; cast it to datasets.ClassLabel",
        ),
    ],
)
def test_other_columns_are_named(tmp_path, columns, message):
    _saved(tmp_path / "pets", columns)
    with pytest.raises(UserError, match=message):
        find_data(tmp_path / "pets")


def test_other_splits_are_named(tmp_path):
    one = datasets.load_from_disk(str(make_saved(tmp_path / "one", {"train": 2})))
    datasets.DatasetDict(train=one, extra=one).save_to_disk(str(tmp_path / "pets"))
    with pytest.raises(UserError, match="has a split extra, which is none of train, validation"):
        find_data(tmp_path / "pets")
