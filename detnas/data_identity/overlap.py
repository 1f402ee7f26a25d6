"""Whether test images are also images that the search decides by, which would not be a test."""

from collections.abc import Iterator, Mapping

from detnas.records.artifacts import ImageListing, ListedImage
from detnas.records.settings import SPLITS, DataLocation, Split

_NAMES = {"train": "training", "val": "validation"}


def overlaps(location: DataLocation, listing: ImageListing, test: ImageListing) -> tuple[str, ...]:
    """Return a warning for each split that shares images with the test split.

    Two are the same image if they are one file or have the same content. Of a large data set only
    some contents are known: there, files of the same name and size count, too.

    Args:
        location: of the data set.
        listing: of training and validation images.
        test: of the test images.
    """
    return tuple(
        f"{len(same)} of {len(test.test)} test images are {_NAMES[split]} images, too (first "
        f"{same[0]}): what is stated for the test split is not for unseen images; take them out of "
        "spec.dataset.test"
        for split in SPLITS
        if (same := list(_shared(location, split, getattr(listing, split), test.test)))
    )


def _shared(
    location: DataLocation,
    split: Split,
    known: Mapping[str, ListedImage],
    test: Mapping[str, ListedImage],
) -> Iterator[str]:
    same_folder = location.images(split).strip("/") == location.images("test").strip("/")
    contents = {image for image in known.values() if image[1]}
    for name, (size, digest) in test.items():
        other = known.get(name)
        is_file = same_folder and other is not None
        looks_alike = other is not None and other[0] == size and not (digest and other[1])
        if is_file or looks_alike or (digest and (size, digest) in contents):
            yield name
