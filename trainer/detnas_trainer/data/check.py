"""The complete check of a data set's splits: annotations, then every image."""

from collections.abc import Callable, Sequence

from detnas.data_identity.files import annotation_file, image_folder
from detnas.records.results import SplitSummary
from detnas.records.settings import DataLocation, Resolution, Split
from detnas_trainer.data.annotations import AnnotatedSplit, check_same_categories, read_split
from detnas_trainer.data.image_check import CheckedImages, check_images

Splits = dict[Split, AnnotatedSplit]
Advance = Callable[[int, int], None]
"""Called with the images that are checked, and all there are."""


def read_splits(data: DataLocation) -> Splits:
    """Read and check the annotations of every split.

    Raises:
        DataError: one of them cannot be used, or they list different classes.
    """
    found = {split: read_split(annotation_file(data, split), split) for split in data.splits}
    for name, split in found.items():
        check_same_categories(found["train"], split, name)
    return found


def check_split_images(
    data: DataLocation, splits: Splits, resolutions: Sequence[Resolution], advance: Advance
) -> dict[Split, CheckedImages]:
    """Decode the images of every split as training does; what is wrong is in the results."""
    done, total = 0, sum(len(split.files) for split in splits.values())

    def checked(images: int) -> None:
        nonlocal done
        done += images
        advance(done, total)

    return {
        name: check_images(image_folder(data, name), split.files, resolutions, checked=checked)
        for name, split in splits.items()
    }


def summary(split: AnnotatedSplit, images: CheckedImages) -> SplitSummary:
    """Return what a result states of a split."""
    boxes = split.boxes
    return SplitSummary(
        sha256=split.sha256,
        images=len(split.files),
        boxes=int(boxes.used.sum()),
        empty_images=split.empty_images,
        crowds=int((boxes.used & boxes.crowds).sum()),
        clipped=int(boxes.clipped.sum()),
        too_small=int(boxes.too_small.sum()),
        outside=int(boxes.outside.sum()),
        marked=int(boxes.marked.sum()),
        classes_without_boxes=split.classes_without_boxes,
        turned_images=images.turned,
    )
