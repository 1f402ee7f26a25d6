"""What is said of a data set that has changed."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from detnas.data_identity import (
    PreparedData,
    data_changed,
    data_changes,
    files,
    listing,
    stamps_of,
)
from tests.detnas.data_identity.data_sets import NAMES, seen, write_files

Change = Callable[[Path], object]


def become_folder(path: Path) -> None:
    """Have a folder where a file was."""
    path.rename(path.with_name("away"))
    path.mkdir()


def become_file(path: Path) -> None:
    """Have a file where a folder was."""
    path.rename(path.with_name("away"))
    path.touch()


CHANGES: dict[str, tuple[Change, str]] = {
    "labels": (
        lambda root: (root / "labels/val.json").write_text("{}"),
        r"the validation annotations \S+/labels/val\.json have changed",
    ),
    "labels gone": (
        lambda root: (root / "labels/train.json").unlink(),
        r"the training annotations \S+/labels/train\.json are gone",
    ),
    "a folder where labels were": (
        lambda root: become_folder(root / "labels/val.json"),
        r"the validation annotations \S+/labels/val\.json have changed",
    ),
    "an image of the same size": (
        lambda root: (root / "train/ü.png").write_bytes(b"x" * 16),
        r"1 of 3 training images has changed \(first \S+/train/ü\.png\)",
    ),
    "a larger image": (
        lambda root: (root / "val/v.png").write_bytes(b"x" * 17),
        r"1 of 1 validation images has changed \(first \S+/val/v\.png\)",
    ),
    "an image gone": (
        lambda root: (root / "train/sub/a.png").unlink(),
        r"1 of 3 training images is gone \(first \S+/train/sub/a\.png\)",
    ),
    "a folder gone": (
        lambda root: (root / "train").rename(root / "elsewhere"),
        r"3 of 3 training images are gone \(first \S+/train/b\.png\)",
    ),
    "a file where a folder was": (
        lambda root: become_file(root / "train/sub"),
        r"1 of 3 training images is gone \(first \S+/train/sub/a\.png\)",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_data_changes_names_only_the_changed_file(tmp_path: Path, what: str) -> None:
    change, words = CHANGES[what]
    location = write_files(tmp_path)
    before = seen(location)
    assert data_changes(before, location) == []
    change(tmp_path)
    (said,) = data_changes(before, location)
    assert re.fullmatch(words, said)


def test_data_changes_compares_only_the_given_splits(tmp_path: Path) -> None:
    location = write_files(tmp_path)
    before = seen(location)
    for path in (tmp_path / "train").rglob("*.png"):
        path.unlink()
    (tmp_path / "labels/train.json").unlink()
    assert data_changes(before, location, ("val",)) == []
    assert len(data_changes(before, location)) == 2


def test_data_changes_accepts_a_moved_dataset(tmp_path: Path) -> None:
    before = seen(write_files(tmp_path / "one"))
    assert data_changes(before, write_files(tmp_path / "two")) == []


def test_data_changes_ignores_images_without_annotations(tmp_path: Path) -> None:
    location = write_files(tmp_path)
    before = seen(location)
    (tmp_path / "train" / "extra.png").touch()
    assert data_changes(before, location) == []


def test_data_changes_without_a_listing_compares_annotations_only(tmp_path: Path) -> None:
    location = write_files(tmp_path)
    before = PreparedData(seen(location).annotations)
    (tmp_path / "train" / "b.png").write_bytes(b"other")
    assert data_changes(before, location) == []
    (tmp_path / "labels/train.json").write_text("{}")
    assert len(data_changes(before, location)) == 1


def test_data_changes_of_a_large_dataset_compares_sizes_and_the_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MAX_FULLY_HASHED_BYTES", 16)
    monkeypatch.setattr(listing, "SAMPLE", 16)
    location = write_files(tmp_path)
    before = seen(location)
    assert before.listing is not None
    images = before.listing.train
    sizes_only = [name for name, (_, digest) in images.items() if not digest]
    (tmp_path / "train" / sizes_only[0]).write_bytes(b"x" * 16)
    assert data_changes(before, location) == []  # as the documents say
    (tmp_path / "train" / sizes_only[0]).write_bytes(b"x" * 15)
    assert len(data_changes(before, location)) == 1
    for name in (*NAMES["train"], *NAMES["val"]):
        for split in ("train", "val"):
            if (path := tmp_path / split / name).exists():
                path.write_bytes(b"x" * 16)  # another folder of images, all of the same size
    assert data_changes(before, location)


def test_stamp_of_a_replaced_file_of_the_same_size_and_date_differs(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    before, then = stamps_of([path]), path.stat()
    assert stamps_of([path]) == before
    time.sleep(0.02)  # file systems count time in steps
    path.write_bytes(b"new")
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))
    assert path.stat().st_mtime_ns == then.st_mtime_ns
    assert stamps_of([path]) != before


def test_stamps_of_many_files_equal_those_of_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [*seen(location := write_files(tmp_path)).files(location), tmp_path / "missing.png"]
    few = stamps_of(paths)
    assert len(few) == len(paths) - 1
    monkeypatch.setattr(files, "_MANY", 2)
    assert stamps_of(paths) == few


def test_data_changed_error_has_a_remedy() -> None:
    said = str(data_changed(["the training annotations a.json have changed", "b is gone"]))
    assert said == (
        "the data has changed since the search began: the training annotations a.json have "
        "changed; b is gone; restore the old data, or give the search another metadata.name to "
        "search the new data"
    )
