"""Images are divided the same way every time, in proportion for each class."""

import random
from collections import Counter

import pytest

from detnas.errors import UserError
from detnas.own_data.splitting import divide
from tests.detnas.own_data.data_sets import coco

SHARES = {"val": 0.15, "test": 0.15}


def names(count):
    return [f"{n:04}.png" for n in range(count)]


def files(document):
    return {image["file_name"] for image in document["images"]}


def test_every_image_is_in_one_split_with_its_boxes():
    document = coco(names(200))
    divided = divide(document, SHARES, "train")
    assert {split: len(one["images"]) for split, one in divided.items()} == {
        "train": 140,
        "val": 30,
        "test": 30,
    }
    assert set().union(*map(files, divided.values())) == files(document)
    for one in divided.values():
        ids = {image["id"] for image in one["images"]}
        assert Counter(box["image_id"] for box in one["annotations"]) == dict.fromkeys(ids, 2)
        assert one["categories"] == document["categories"]


def test_order_and_ids_of_the_file_do_not_matter():
    document = coco(names(60))
    other = coco(names(60))
    random.Random(1).shuffle(other["images"])
    for image in other["images"]:
        image["id"] += 1000
    for box in other["annotations"]:
        box["image_id"] += 1000
    first, second = (divide(one, SHARES, "train") for one in (document, other))
    assert {s: files(one) for s, one in first.items()} == {s: files(o) for s, o in second.items()}


def test_a_rare_class_is_in_every_split():
    document = coco(names(200), ("common", "rare"))
    for box in document["annotations"]:
        box["category_id"] = 2 if box["image_id"] <= 20 else 1
    for one in divide(document, SHARES, "train").values():
        rare = {box["image_id"] for box in one["annotations"] if box["category_id"] == 2}
        assert len(rare) == pytest.approx(0.1 * len(one["images"]), abs=1)


def test_too_few_images_are_not_divided():
    with pytest.raises(UserError, match=r"9 images are too few to be divided into train, val"):
        divide(coco(names(9)), SHARES, "train")
