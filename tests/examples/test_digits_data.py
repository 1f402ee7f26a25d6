"""The digits example's data set: the same every time, correct COCO, made whole or not at all."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits"
SCRIPT = EXAMPLE / "make_data.py"
TRAINING, VALIDATION, TEST = 24, 12, 10
SPLITS = ("train", "val", "test")
SMALL = ("--train", str(TRAINING), "--val", str(VALIDATION), "--test", str(TEST))


def make(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), str(folder), *options]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


def make_small(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return make(folder, *SMALL, *options)


def names_in(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def annotations(folder: Path, split: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / f"{split}.json").read_text())
    return document


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits") / "data"
    made = make_small(folder)
    assert made.returncode == 0, made.stderr
    return folder


def test_digits_data_is_reproducible_byte_for_byte(data: Path, tmp_path: Path) -> None:
    assert make_small(tmp_path / "again").returncode == 0
    assert digests(tmp_path / "again") == digests(data)


def test_digits_data_differs_with_another_seed(data: Path, tmp_path: Path) -> None:
    assert make_small(tmp_path / "other", "--seed", "1").returncode == 0
    first, second = digests(data), digests(tmp_path / "other")
    assert first.keys() == second.keys()
    assert not any(first[name] == second[name] for name in first)


def test_digits_data_with_more_canvases_keeps_the_first(data: Path, tmp_path: Path) -> None:
    make(tmp_path / "more", "--train", str(TRAINING + 2), "--val", str(VALIDATION + 2))
    small, large = digests(data), digests(tmp_path / "more")
    images = {name: digest for name, digest in small.items() if name.endswith(".png")}
    assert len(images) == TRAINING + VALIDATION + TEST
    assert images.items() <= large.items()


@pytest.fixture(scope="module")
def glyphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("glyphs") / "data"
    made = make_small(folder, "--symbols", "glyphs")
    assert made.returncode == 0, made.stderr
    return folder


def test_glyphs_have_many_classes_and_no_sample_in_two_splits(glyphs: Path) -> None:
    used: list[set[int]] = []
    for split in SPLITS:
        document = annotations(glyphs, split)
        names = [entry["name"] for entry in document["categories"]]
        assert len(set(names)) == len(names) >= 60
        shown = {entry["digit_sample"] for entry in document["annotations"]}
        classes = {entry["category_id"] for entry in document["annotations"]}
        assert 10 < len(classes) <= len(shown)
        used.append(shown)
    assert not any(one & other for one, other in combinations(used, 2))


def test_glyphs_are_reproducible_and_recorded_as_glyphs(glyphs: Path, tmp_path: Path) -> None:
    assert make_small(tmp_path / "again", "--symbols", "glyphs").returncode == 0
    assert digests(tmp_path / "again") == digests(glyphs)
    refused = make_small(glyphs)
    assert refused.returncode == 2
    assert "was made with other settings" in refused.stderr


def test_digits_data_splits_share_no_digit(data: Path) -> None:
    used = {
        split: {entry["digit_sample"] for entry in annotations(data, split)["annotations"]}
        for split in SPLITS
    }
    for one, other in combinations(SPLITS, 2):
        assert used[one]
        assert used[other]
        assert not used[one] & used[other]


def test_digits_data_has_the_category_of_each_sample(data: Path) -> None:
    from sklearn.datasets import load_digits

    classes = load_digits().target
    for split in SPLITS:
        document = annotations(data, split)
        names = {entry["id"]: entry["name"] for entry in document["categories"]}
        assert list(names.values()) == [str(digit) for digit in range(10)]
        for entry in document["annotations"]:
            assert names[entry["category_id"]] == str(classes[entry["digit_sample"]])


@pytest.mark.parametrize(
    ("split", "count"), [("train", TRAINING), ("val", VALIDATION), ("test", TEST)]
)
def test_digits_data_annotations_are_valid_coco(data: Path, split: str, count: int) -> None:
    coco = COCO(str(data / f"{split}.json"))
    assert len(coco.imgs) == count
    assert len(coco.anns) == len(annotations(data, split)["annotations"])
    for image in coco.imgs.values():
        with Image.open(data / "images" / image["file_name"]) as opened:
            assert (opened.format, opened.mode) == ("PNG", "RGB")
            assert opened.size == (image["width"], image["height"])
    for entry in coco.anns.values():
        left, top, width, height = entry["bbox"]
        image = coco.imgs[entry["image_id"]]
        assert 0 <= left < left + width <= image["width"]
        assert 0 <= top < top + height <= image["height"]
        assert entry["area"] == width * height
        assert entry["iscrowd"] == 0


def test_digits_data_has_the_requested_number_with_little_overlap(data: Path) -> None:
    coco = COCO(str(data / "train.json"))
    for image in coco.imgs:
        boxes = [entry["bbox"] for entry in coco.imgToAnns[image]]
        assert 1 <= len(boxes) <= 7
        for index, first in enumerate(boxes):
            assert all(covered(first, second) <= 0.05 for second in boxes[:index])


def covered(first: list[int], second: list[int]) -> float:
    canvas = np.zeros((2, 128, 128), dtype=bool)
    for plane, (left, top, width, height) in zip(canvas, (first, second), strict=True):
        plane[top : top + height, left : left + width] = True
    return float((canvas[0] & canvas[1]).sum() / min(plane.sum() for plane in canvas))


def test_make_data_writes_nothing_if_the_folder_exists(data: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    again = make_small(data)
    assert again.returncode == 0
    assert "already there" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before


def test_make_data_finishes_after_a_killed_run(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    command = [sys.executable, str(SCRIPT), str(folder), "--train", "2000", "--val", "12"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("*.png")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not folder.exists()
    assert list(tmp_path.rglob("*.png"))
    assert make_small(folder).returncode == 0
    assert digests(folder) == digests(data)
    assert names_in(tmp_path) == ["killed"]


def test_make_data_run_twice_concurrently_gives_one_data_set(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    command = [sys.executable, str(SCRIPT), str(folder), *SMALL]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(run.communicate(timeout=120)[0].split(": ")[1].strip() for run in runs)
    assert said == ["already there", "made"]
    assert digests(folder) == digests(data)
    assert names_in(tmp_path) == ["shared"]


def test_make_data_refuses_a_folder_of_other_settings(data: Path) -> None:
    before = digests(data)
    refused = make(data, "--train", "5", "--val", "5")
    assert refused.returncode == 2
    assert "made with other settings" in refused.stderr
    assert digests(data) == before


def test_make_data_refuses_a_folder_with_other_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    refused = make_small(tmp_path)
    assert refused.returncode == 2
    assert str(tmp_path) in refused.stderr
    assert names_in(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize(("option", "value"), [("--train", "0"), ("--val", "-1"), ("--seed", "-1")])
def test_make_data_refuses_invalid_numbers(tmp_path: Path, option: str, value: str) -> None:
    refused = make(tmp_path / "data", option, value)
    assert refused.returncode == 2
    assert f"{option} {value}" in refused.stderr
    assert not (tmp_path / "data").exists()
