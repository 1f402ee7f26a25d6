"""The data set as a search needs it: its root for a job, and facts of its splits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from typing import Any

from detnas.errors import UserError
from detnas.spec.dataset import DataSource

MOUNT = "/data"
"""Mount path of the data set's volume in a job's pod."""


def data_root(source: DataSource, folder: Path | None) -> str:
    """Return the root of the data set's paths for a job: a folder, or a URI in S3.

    Args:
        source: from the manifest.
        folder: the manifest's folder on this machine; none for a job in a pod.

    Raises:
        UserError: the manifest names no source that the job can read.
    """
    if folder is not None:
        if source.directory is None:
            raise UserError(
                "spec.dataset.source.directory is missing, and this machine has no volumes",
                "set it to the folder that holds the dataset; a cluster ignores the field",
            )
        return str((folder / source.directory).absolute())
    if source.s3 is not None:
        return source.s3.rstrip("/")
    if source.persistent_volume_claim is not None:
        path = source.persistent_volume_claim.path.strip("/")
        return f"{MOUNT}/{path}" if path else MOUNT
    raise UserError(
        "spec.dataset.source names no source that a cluster can read",
        "name a persistentVolumeClaim or an s3:// URI that holds the dataset",
    )


Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """One split of a data set.

    Attributes:
        images: their number.
        largest_objects: side in pixels (root of the area) of the largest object in images of each
            size; sizes without objects are left out.
    """

    images: int
    largest_objects: Mapping[Size, float] = field(default_factory=dict)


def largest_objects(
    images: Iterable[Mapping[str, Any]], annotations: Iterable[Mapping[str, Any]]
) -> dict[Size, float]:
    """Return the side of the largest object in images of each size; crowds do not count.

    Args:
        images: entries of a COCO file.
        annotations: entries of the same file.

    Raises:
        KeyError, TypeError, ValueError: an entry is not valid COCO.
    """
    sizes = {image["id"]: _size(image) for image in images}
    largest: dict[Size, float] = {}
    for annotation in annotations:
        if annotation.get("iscrowd"):
            continue
        _, _, width, height = annotation["bbox"]
        size = sizes[annotation["image_id"]]
        largest[size] = max(largest.get(size, 0.0), sqrt(max(width, 0) * max(height, 0)))
    return largest


def split_facts(document: Mapping[str, Any]) -> SplitFacts:
    """Return the facts of a COCO annotation file's content.

    Raises:
        KeyError, TypeError, ValueError: it is not valid COCO.
    """
    images = document["images"]
    return SplitFacts(len(images), largest_objects(images, document.get("annotations", ())))


def _size(image: Mapping[str, Any]) -> Size:
    width, height = image["width"], image["height"]
    if not (width > 0 and height > 0):
        raise ValueError(f"width and height are {width!r} and {height!r}")
    return width, height
