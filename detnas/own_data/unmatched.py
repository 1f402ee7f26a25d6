"""Images without annotations, and annotations without images, as files on disk."""

from pathlib import Path

from detnas.own_data.files import IMAGE_SUFFIXES, files_below
from detnas.own_data.source import OwnData

_LABEL_SUFFIXES = {"YOLO": ".txt", "Pascal VOC": ".xml"}


def labels_without_images(own: OwnData) -> list[Path]:
    """Return the files of labels whose image is not there; COCO's are found by the data check."""
    if own.form not in _LABEL_SUFFIXES:
        return []
    folder = own.parts["train"].images
    listed = {
        Path(image["file_name"]).stem
        for part in own.parts.values()
        for image in part.document["images"]
    }
    return [
        path
        for path in files_below(folder, [_LABEL_SUFFIXES[own.form]])
        if path.stem not in listed and (path.suffix == ".xml" or "labels" in path.parts)
    ]


def unlisted_images(own: OwnData) -> list[Path]:
    """Return the images on disk that no annotation file lists."""
    folders = {part.images.resolve() for part in own.parts.values()}
    listed = {
        (part.images / image["file_name"]).resolve()
        for part in own.parts.values()
        for image in part.document["images"]
    }
    there = {path.resolve() for folder in folders for path in files_below(folder, IMAGE_SUFFIXES)}
    return sorted(there - listed)
