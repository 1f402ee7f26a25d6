from collections.abc import Iterator
from itertools import chain, count
from multiprocessing import Value, active_children
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from mmdet.datasets import CocoDataset
from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs, Resize
from numpy.typing import NDArray

from detnas.own_data.coco_json import DataError
from detnas.records.settings import DataLocation, Resolution
from detnas_trainer.data import detection_data
from detnas_trainer.data.detection_data import DetectionData, batches
from detnas_trainer.data.draws import Sample
from detnas_trainer.data.images import read_image
from tests.trainer.conftest import CLASSES, edit_json, write_data_set

WIDE = Resolution(width=96, height=48)


@pytest.fixture(scope="module")
def train(tiny_data: DataLocation) -> DetectionData:
    return DetectionData(tiny_data, "train", CLASSES)


def test_images_fit_into_the_nominal_size_at_their_own_aspect_ratio(train: DetectionData) -> None:
    packed = train[Sample(0, WIDE)]
    assert tuple(packed["inputs"].shape) == (3, 48, 48)
    assert packed["inputs"].dtype == torch.uint8
    sample = packed["data_samples"]
    assert (sample.ori_shape, sample.img_shape) == ((64, 64), (48, 48))
    assert sample.gt_instances.bboxes.tensor.max() <= 48


def test_mirrored_sample_is_the_mirror_image_of_the_plain_one(train: DetectionData) -> None:
    plain, mirrored = (train[Sample(1, WIDE, flipped)] for flipped in (False, True))
    assert torch.equal(mirrored["inputs"], plain["inputs"].flip(2))
    boxes = plain["data_samples"].gt_instances.bboxes.tensor
    expected = torch.stack([48 - boxes[:, 2], boxes[:, 1], 48 - boxes[:, 0], boxes[:, 3]], 1)
    assert torch.allclose(mirrored["data_samples"].gt_instances.bboxes.tensor, expected)


def test_category_ids_with_holes_become_positions(train: DetectionData) -> None:
    labels = torch.cat([train[s]["data_samples"].gt_instances.labels for s in train.samples(WIDE)])
    assert set(labels.tolist()) == {0, 1}


def _bend(data: DataLocation) -> None:
    """Give the data set one of everything that training ignores, clips or leaves out."""

    def bend(document: dict[str, Any]) -> None:
        boxes = document["annotations"]
        boxes[0]["iscrowd"] = 1
        boxes[1]["bbox"] = [3.25, 4.1, 0.5, 20]
        boxes[2] |= {"bbox": [-7.3, 50.7, 20.2, 30.9], "ignore": 0}
        boxes[3] |= {"ignore": 1}
        boxes += [
            {**boxes[4], "id": 900, "bbox": [-20, 3, 9, 9]},
            {**boxes[4], "id": 901, "image_id": 101, "area": 0},
            {**boxes[4], "id": 902, "image_id": 100, "bbox": [1 / 3, 2 / 3, 9.7, 100]},
        ]
        for box in boxes:
            box["area"] *= box["image_id"] != 103  # an image with nothing but ignored boxes
        document["annotations"] = [box for box in boxes if box["image_id"] != 106]
        document["images"].reverse()

    for name in ("train", "val"):
        edit_json(Path(data.root) / f"{name}.json", bend)


@pytest.mark.parametrize("split", ["train", "val"])
def test_samples_are_those_of_stock_mmdet(tmp_path: Path, split: Literal["train", "val"]) -> None:
    location = write_data_set(tmp_path, train=8, val=4)
    _bend(location)
    ours = DetectionData(location, split, CLASSES)
    theirs = CocoDataset(
        ann_file=f"{tmp_path}/{split}.json",
        data_prefix={"img": f"{tmp_path}/{split}"},
        metainfo={"classes": CLASSES},
        filter_cfg={"filter_empty_gt": split == "train"},
        test_mode=split == "val",
        pipeline=[
            LoadImageFromFile(),
            LoadAnnotations(with_bbox=True),
            Resize(scale=(WIDE.width, WIDE.height), keep_ratio=True),
            PackDetInputs(),
        ],
    )
    assert len(ours) == len(theirs) == {"train": 7, "val": 4}[split]
    for sample, packed in zip(ours.samples(WIDE), theirs, strict=True):
        mine = ours[sample]
        assert torch.equal(mine["inputs"], packed["inputs"])
        one, other = mine["data_samples"], packed["data_samples"]
        for kind in ("gt_instances", "ignored_instances"):
            assert torch.equal(one.get(kind).bboxes.tensor, other.get(kind).bboxes.tensor)
            assert torch.equal(one.get(kind).labels, other.get(kind).labels)
        for key in ("img_path", "ori_shape", "img_shape", "scale_factor"):
            assert one.get(key) == other.get(key)


def test_sliver_of_a_box_does_not_become_an_empty_one(own_data: DataLocation) -> None:
    sliver = {"bbox": [63.9999999, 5, 20, 20]}
    path = Path(own_data.root) / "train.json"
    edit_json(path, lambda document: document["annotations"][0].update(sliver))
    train = DetectionData(own_data, "train", CLASSES)
    boxes = train[Sample(0, WIDE)]["data_samples"].gt_instances.bboxes
    assert len(boxes) == 1
    assert (boxes.widths > 0).all()


def test_worker_processes_give_the_same_batches(train: DetectionData) -> None:
    draws = [[Sample(i, WIDE, flipped=bool(i % 2)), Sample(i + 1, WIDE)] for i in range(3)]
    here, there = (list(batches(train, draws, workers)) for workers in (0, 2))
    assert len(here) == len(there) == 3
    for ours, theirs in zip(here, there, strict=True):
        assert all(map(torch.equal, ours["inputs"], theirs["inputs"]))
        assert [s.img_id for s in ours["data_samples"]] == [
            s.img_id for s in theirs["data_samples"]
        ]


def test_lasting_workers_load_one_iteration_after_the_other(
    train: DetectionData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detection_data, "default_workers", lambda: 2)
    sizes = WIDE, Resolution(width=48, height=48)
    draws = [[[Sample(i, size), Sample(i + 1, size)] for i in range(3)] for size in sizes]
    here = [list(batches(train, one, workers=0)) for one in draws]
    before = {child.pid for child in active_children()}
    with train.lasting_workers():
        next(batches(train, draws[0]))  # one that is left before its end
        started = {child.pid for child in active_children()} - before
        there = [list(batches(train, one)) for one in draws]
        assert {child.pid for child in active_children()} - before == started
    assert len(started) == 2
    assert {child.pid for child in active_children()} - before == set()
    for ours, theirs in zip(chain(*here), chain(*there), strict=True):
        assert all(map(torch.equal, ours["inputs"], theirs["inputs"]))


def test_image_is_decoded_once_for_all_sizes_of_an_evaluation(
    tiny_data: DataLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Value("i", 0)  # counts in the process that loads

    def counted(folder: Path, name: str) -> NDArray[np.uint8]:
        with read.get_lock():
            read.value += 1
        return read_image(folder, name)

    monkeypatch.setattr(detection_data, "read_image", counted)
    monkeypatch.setattr(detection_data, "default_workers", lambda: 1)
    data = DetectionData(tiny_data, "val", CLASSES)
    with data.lasting_workers():
        for size in (WIDE, Resolution(width=48, height=48), WIDE):
            assert len(list(batches(data, [[one] for one in data.samples(size)]))) == len(data)
            assert read.value == len(data)


def test_batches_are_drawn_as_they_are_needed(train: DetectionData) -> None:
    drawn: list[int] = []

    def endless() -> Iterator[list[Sample]]:
        for number in count():
            drawn.append(number)
            yield [Sample(number % len(train), WIDE)]

    loading = batches(train, endless(), workers=1)
    assert len(next(loading)["inputs"]) == 1
    assert len(drawn) < 10


def test_image_that_vanished_is_named(own_data: DataLocation) -> None:
    (Path(own_data.root) / "val" / "1.png").unlink()
    val = DetectionData(own_data, "val", CLASSES)
    with pytest.raises(DataError, match=r"val/1\.png"):
        val[Sample(1, WIDE)]


def test_classes_that_the_file_does_not_have_are_refused(tiny_data: DataLocation) -> None:
    for classes in ((*CLASSES, "star"), CLASSES[:1], CLASSES[::-1]):
        with pytest.raises(DataError, match=r"val\.json lists the classes 'disc', 'square', the"):
            DetectionData(tiny_data, "val", classes)


@pytest.fixture
def turned(own_data: DataLocation) -> DetectionData:
    """Three training images: square, higher than wide, wider than high."""

    def turn(document: dict[str, Any]) -> None:
        for image, (width, height) in zip(
            document["images"], [(64, 64), (64, 80), (80, 64)], strict=True
        ):
            image.update(width=width, height=height)

    edit_json(Path(own_data.root) / "train.json", turn)
    return DetectionData(own_data, "train", CLASSES)


def test_groups_separate_images_that_are_higher_than_wide(turned: DetectionData) -> None:
    assert [group.tolist() for group in turned.groups(by_orientation=True)] == [[0, 2], [1]]
    assert [group.tolist() for group in turned.groups(by_orientation=False)] == [[0, 1, 2]]


def test_samples_by_shape_go_from_the_widest_to_the_tallest(turned: DetectionData) -> None:
    assert [sample.image for sample in turned.samples(WIDE, by_shape=True)] == [2, 0, 1]
    assert [sample.image for sample in turned.samples(WIDE)] == [0, 1, 2]
