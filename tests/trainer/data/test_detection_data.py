from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import torch

from detnas.records.settings import DataLocation, Resolution
from detnas_trainer.data.annotations import DataError
from detnas_trainer.data.detection_data import DetectionData, batches
from detnas_trainer.data.draws import Sample

CLASSES = ("disc", "square")
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


def test_a_mirrored_sample_is_the_mirror_image_of_the_plain_one(train: DetectionData) -> None:
    plain, mirrored = (train[Sample(1, WIDE, flipped)] for flipped in (False, True))
    assert torch.equal(mirrored["inputs"], plain["inputs"].flip(2))
    boxes = plain["data_samples"].gt_instances.bboxes.tensor
    expected = torch.stack([48 - boxes[:, 2], boxes[:, 1], 48 - boxes[:, 0], boxes[:, 3]], 1)
    assert torch.allclose(mirrored["data_samples"].gt_instances.bboxes.tensor, expected)


def test_category_ids_with_holes_become_positions(train: DetectionData) -> None:
    labels = torch.cat([train[s]["data_samples"].gt_instances.labels for s in train.samples(WIDE)])
    assert set(labels.tolist()) == {0, 1}
    assert train.category_ids == (3, 7)


def test_worker_processes_give_the_same_batches(train: DetectionData) -> None:
    draws = [[Sample(i, WIDE, flipped=bool(i % 2)), Sample(i + 1, WIDE)] for i in range(3)]
    here, there = (list(batches(train, draws, workers)) for workers in (0, 2))
    assert len(here) == len(there) == 3
    for ours, theirs in zip(here, there, strict=True):
        assert all(map(torch.equal, ours["inputs"], theirs["inputs"]))
        assert [s.img_id for s in ours["data_samples"]] == [
            s.img_id for s in theirs["data_samples"]
        ]


def test_batches_are_drawn_as_they_are_needed(train: DetectionData) -> None:
    drawn: list[int] = []

    def endless() -> Iterator[list[Sample]]:
        for number in count():
            drawn.append(number)
            yield [Sample(number % len(train), WIDE)]

    loading = batches(train, endless(), workers=1)
    assert len(next(loading)["inputs"]) == 1
    assert len(drawn) < 10


def test_an_image_that_vanished_is_named(own_data: DataLocation) -> None:
    (Path(own_data.root) / "val" / "1.png").unlink()
    val = DetectionData(own_data, "val", CLASSES)
    with pytest.raises(DataError, match=r"val/1\.png"):
        val[Sample(1, WIDE)]


def test_classes_that_the_file_does_not_have_are_refused(tiny_data: DataLocation) -> None:
    with pytest.raises(DataError, match="2 of the 3 classes"):
        DetectionData(tiny_data, "val", (*CLASSES, "star"))
