"""Where the files of a data set lie on this machine."""

from pathlib import Path
from typing import Literal

from detnas.records.settings import DataLocation

Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")


def annotations_of(location: DataLocation, split: Split) -> Path:
    """Return the path of a split's annotations."""
    return Path(location.root) / (location.train if split == "train" else location.val)


def pictures_of(location: DataLocation, split: Split) -> Path:
    """Return the folder that the names of a split's pictures are relative to."""
    folder = location.train_images if split == "train" else location.val_images
    return Path(location.root) / folder
