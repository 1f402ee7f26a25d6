"""Test images that training or validation has, too, are no test."""

import pytest

from detnas.data_identity.overlap import overlaps
from detnas.records.artifacts import ImageListing, ListedImage
from detnas.records.settings import DataLocation

A, B = "a" * 64, "b" * 64


def location(val: str = "val", test: str = "test") -> DataLocation:
    folders = {"train_images": "train", "val_images": val, "test_images": test}
    return DataLocation(root="/data", train="t.json", val="v.json", test="x.json", **folders)


def found(
    at: DataLocation, val: dict[str, ListedImage], test: dict[str, ListedImage]
) -> tuple[str, ...]:
    listing = ImageListing(train={}, val=val)
    return overlaps(at, listing, ImageListing(train={}, val={}, test=test))


def test_copies_of_validation_images_are_named() -> None:
    val: dict[str, ListedImage] = {"1.png": (10, A), "2.png": (10, B)}
    test: dict[str, ListedImage] = {"new.png": (11, "c" * 64), "copy.png": (10, A)}
    (warning,) = found(location(), val, test)
    assert "1 of 2 test images are validation images, too (first copy.png)" in warning
    assert "spec.dataset.test" in warning


def test_one_file_in_both_splits_is_named_though_its_content_is_unknown() -> None:
    assert found(location("images", "images/"), {"1.png": (10, "")}, {"1.png": (10, "")})


@pytest.mark.parametrize(("size", "is_same"), [(10, True), (11, False)])
def test_equal_names_of_unknown_content_count_if_they_are_equally_large(
    size: int, is_same: bool
) -> None:
    assert bool(found(location(), {"1.png": (10, A)}, {"1.png": (size, "")})) is is_same


def test_equal_names_in_other_folders_are_no_overlap() -> None:
    """Every split may count its images from 1."""
    assert not found(location(), {"1.png": (10, A)}, {"1.png": (10, B)})
