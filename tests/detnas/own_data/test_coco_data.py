"""COCO as people have it is recognised; what is missing is divided beside it, never in it."""

import json
import shutil

import pytest

from detnas.errors import UserError
from detnas.own_data import made
from detnas.own_data.facts import facts_of
from detnas.own_data.files import write_json
from detnas.own_data.source import find_data
from detnas.own_data.unmatched import unlisted_images
from tests.detnas.own_data.data_sets import coco, draw, make_coco

THREE = {"train": 12, "val": 4, "test": 4}


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_three_splits_are_taken_as_they_are(tmp_path):
    root = make_coco(tmp_path / "pets", THREE)
    own = find_data(root)
    assert {split: len(part.document["images"]) for split, part in own.parts.items()} == THREE
    assert {part.images for part in own.parts.values()} == {root / "images"}
    assert list(tmp_path.iterdir()) == [root]


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        ("annotations/instances_{split}2017.json", "{split}2017/{image}"),
        ("{split}/_annotations.coco.json", "{split}/{image}"),
    ],
)
def test_usual_layouts_are_recognised(tmp_path, layout, name):
    for split, count in THREE.items():
        images = [f"{split}{n}.png" for n in range(count)]
        for image in images:
            draw(tmp_path / name.format(split=split, image=image))
        path = tmp_path / layout.format(split=split)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(coco(images)))
    (tmp_path / "annotations").mkdir(exist_ok=True)
    (tmp_path / "annotations" / "captions_val2017.json").write_text(
        '{"images": [], "annotations": [{"caption": "a cat"}], "categories": []}'
    )
    own = find_data(tmp_path)
    for split, part in own.parts.items():
        assert (part.images / part.document["images"][0]["file_name"]).is_file()
        assert len(part.document["images"]) == THREE[split]


def test_missing_splits_are_divided_beside_the_source(tmp_path):
    root = make_coco(tmp_path / "pets", {"train": 40, "val": 8})
    before = snapshot(root)
    own = find_data(root)
    sizes = {split: len(part.document["images"]) for split, part in own.parts.items()}
    assert sizes == {"train": 34, "val": 8, "test": 6}
    assert snapshot(root) == before
    written = snapshot(tmp_path / "pets-coco")
    assert {path.name for path in written} == {"train.json", "test.json", "made-from.json"}
    times = {path: path.stat().st_mtime_ns for path in written}
    assert find_data(root).parts == own.parts
    assert {path: path.stat().st_mtime_ns for path in written} == times


@pytest.mark.parametrize("writes", range(4))
def test_a_division_interrupted_at_any_write_is_finished(tmp_path, monkeypatch, writes):
    root = make_coco(tmp_path / "pets", {"all": 20})
    expected = find_data(root, tmp_path / "undisturbed").parts
    done: list[str] = []

    def write(path, document):
        if len(done) == writes:
            raise KeyboardInterrupt
        done.append(path)
        write_json(path, document)

    with monkeypatch.context() as patch:
        patch.setattr(made, "write_json", write)
        with pytest.raises(KeyboardInterrupt):
            find_data(root)
    found = find_data(root).parts
    assert {split: part.document for split, part in found.items()} == {
        split: part.document for split, part in expected.items()
    }
    written = {path.name for path in (tmp_path / "pets-coco").iterdir()}
    assert written == {"train.json", "val.json", "test.json", "made-from.json"}


def test_files_of_unknown_origin_are_not_replaced(tmp_path):
    root = make_coco(tmp_path / "pets", {"all": 20})
    mine = tmp_path / "pets-coco" / "test.json"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(UserError, match=r"test.json is there, and not from `detnas init`"):
        find_data(root)
    assert mine.read_text() == "mine"


def test_annotations_of_another_state_are_not_replaced(tmp_path):
    root = make_coco(tmp_path / "pets", {"all": 20})
    find_data(root)
    before = snapshot(tmp_path / "pets-coco")
    shutil.rmtree(root)
    make_coco(root, {"all": 30})
    with pytest.raises(UserError, match="another state of this one"):
        find_data(root)
    assert snapshot(tmp_path / "pets-coco") == before
    assert len(find_data(root, tmp_path / "other").parts["train"].document["images"]) == 22


def test_a_single_file_is_taken(tmp_path):
    root = make_coco(tmp_path / "pets", {"train": 20, "val": 8})
    own = find_data(root / "train.json")
    assert sum(len(part.document["images"]) for part in own.parts.values()) == 20


def test_images_that_nobody_lists_are_found(tmp_path):
    root = make_coco(tmp_path / "pets", THREE)
    draw(root / "images" / "stray.png")
    assert unlisted_images(find_data(root)) == [root / "images" / "stray.png"]


def _without_images(root):
    shutil.rmtree(root / "images")


def _two_trainings(root):
    shutil.copy(root / "train.json", root / "training.json")


def _other_classes(root):
    (root / "val.json").write_text(json.dumps(coco(["val000.png"], ("cat", "wolf"))))


def _no_training(root):
    (root / "train.json").unlink()


def _no_width(root):
    document = coco(["train000.png"])
    del document["images"][0]["width"]
    (root / "train.json").write_text(json.dumps(document))


def _unnamed(root):
    shutil.copy(root / "train.json", root / "more.json")


def _truncated(root):
    path = root / "train.json"
    path.write_bytes(path.read_bytes()[:-20])


def _empty(root):
    shutil.rmtree(root)
    root.mkdir()
    (root / "notes.txt").write_text("nothing")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without_images, r"image test000.png is neither beside the file nor in a folder below"),
        (_two_trainings, r"2 annotation files are called train: .*train.json.*training.json"),
        (_other_classes, r"val.json and .*test.json list different categories .*wolf"),
        (_no_training, r"has no training split, only test, val"),
        (_no_width, r"images\[0\] of .*train.json has no 'width'"),
        (_unnamed, r"more.json names no split, and beside it are"),
        (_truncated, r"train.json is no JSON"),
        (
            _empty,
            r"no data set that is known here: 1 × .txt; give a folder with one of these",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path, spoil, message):
    root = make_coco(tmp_path / "pets", THREE)
    spoil(root)
    with pytest.raises(UserError, match=message):
        find_data(root)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere does not exist; give the folder"):
        find_data(tmp_path / "nowhere")


def test_facts_are_those_of_the_boxes_that_are_learnt():
    document = coco([f"{n}.png" for n in range(10)])
    crowd, speck = (dict(document["annotations"][0], id=100 + n) for n in range(2))
    crowd["iscrowd"], speck["bbox"] = 1, [0, 0, 0.5, 40]
    document["annotations"] += [crowd, speck]
    document["images"].append({"id": 11, "file_name": "x.png", "width": 640, "height": 480})
    facts = facts_of({"train": document, "val": document})
    assert facts.class_boxes == {"cat": 7, "dog": 7, "bird": 6}
    assert facts.size == (64, 48)
    assert facts.largest == (640, 480)
    assert facts.without_boxes == 1
    assert facts.per_image.p50 == 2
    assert 10 < facts.pixels.p5 < facts.pixels.p95 < 18
    assert facts.sides.p50 == pytest.approx(facts.pixels.p50 / 64)


@pytest.mark.parametrize(
    ("classes", "differ"),
    [(("cat", "dog"), False), (("1", "2", "dot"), True), (("left shoe", "cat"), True)],
)
def test_names_tell_whether_mirroring_changes_a_class(classes, differ):
    assert facts_of({"train": coco(["a.png"], classes)}).mirrored_classes_differ is differ
