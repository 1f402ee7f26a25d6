"""Where the files of a data set lie on this machine."""

import os
from pathlib import Path
from typing import Literal
from unicodedata import normalize

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


def find_picture(folder: Path, name: str) -> Path:
    """Return the file that an annotated name means; the name as written, if there is none.

    A file system may keep an accented letter as one character where the annotations have two, or
    the other way round; and it keeps bytes, which a locale other than UTF-8 reads differently.
    """
    if name.isascii():
        return folder / name
    others = (os.fsdecode(form.encode()) for form in unicode_forms(name))
    found = (folder / form for form in (name, *others) if (folder / form).exists())
    return next(found, folder / name)


def unicode_forms(name: str) -> tuple[str, ...]:
    """Return the name as written, then with its accented letters as one character and as two."""
    return tuple(dict.fromkeys([name, normalize("NFC", name), normalize("NFD", name)]))
