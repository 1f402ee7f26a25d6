"""What stands for the images of a data set."""

import hashlib
from pathlib import Path

import pytest

from detnas.data_identity import list_images, listing
from detnas.store.record_format import encode_record
from tests.detnas.data_identity.data_sets import NAMES, Names, write_files


def test_listing_is_equal_for_equal_images_in_any_folder_and_order(
    tmp_path: Path,
) -> None:
    here, there = write_files(tmp_path / "here"), write_files(tmp_path / "there")
    backwards = {split: names[::-1] for split, names in NAMES.items()}
    one, other = list_images(here, NAMES), list_images(there, backwards)
    assert encode_record(one) == encode_record(other)


def test_listing_keeps_the_form_that_pool_digests_depend_on(tmp_path: Path) -> None:
    names: Names = {"train": ["a.png"], "val": []}
    found = encode_record(list_images(write_files(tmp_path, names), names))
    digest = hashlib.sha256(b"train a.png ....").hexdigest()
    written = (
        f'{{\n "train": {{\n  "a.png": [\n   16,\n   "{digest}"\n  ]\n }},\n "val": {{}}\n}}\n'
    )
    assert found.decode() == written


def test_listing_hashes_every_image_of_an_ordinary_dataset(tmp_path: Path) -> None:
    location = write_files(tmp_path)
    told: list[tuple[int, int]] = []
    found = list_images(location, NAMES, lambda done, total: told.append((done, total)))
    content = (tmp_path / "train" / "sub" / "a.png").read_bytes()
    assert found.train["sub/a.png"] == (16, hashlib.sha256(content).hexdigest())
    assert [*found.train, *found.val] == [*NAMES["train"], *NAMES["val"]]
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_listing_of_a_large_dataset_hashes_the_same_sample_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: Names = {"train": [f"{number}.png" for number in range(40)], "val": ["v.png"]}
    location = write_files(tmp_path, names)
    monkeypatch.setattr(listing, "MAX_FULLY_HASHED_BYTES", 41 * 16 - 1)
    monkeypatch.setattr(listing, "SAMPLE", 5 * 16)
    found = list_images(location, names)
    images = {**found.train, **found.val}
    hashed = [name for name, (_, digest) in images.items() if digest]
    assert len(hashed) == 5
    assert len(images) == 41
    assert {size for size, _ in images.values()} == {16}
    again: Names = {split: some[::-1] for split, some in names.items()}
    assert list_images(location, again) == found
