"""The one reader of pictures: what the data check accepts is what training and scoring see.

OpenCV decodes, as stock mmdet does wherever the exported detector is used. A picture is what a
viewer displays: OpenCV turns it as its EXIF orientation asks.
"""

import os
from pathlib import Path
from unicodedata import normalize

import cv2
import numpy as np
from numpy.typing import NDArray

from detnas_trainer.data.annotations import DataError


def read_image(folder: Path, name: str) -> NDArray[np.uint8]:
    """Read a picture as (height, width, 3) of BGR.

    Args:
        folder: the split's image folder.
        name: as the annotations give it.

    Raises:
        DataError: the file is missing or cannot be decoded; the message names it.
    """
    try:
        return decode(find_image(folder, name).read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"image {folder / name} is missing", "restore the file") from error
    except Exception as error:  # decoders raise whatever they like
        raise DataError(
            f"image {folder / name} cannot be read ({reason_of(error)})", "restore the file"
        ) from error


def find_image(folder: Path, name: str) -> Path:
    """The file that an annotated name means; the name as written, if there is none.

    A file system may keep an accented letter as one character where the annotations have two, or
    the other way round; and it keeps bytes, which a locale other than UTF-8 reads differently.
    """
    others = (os.fsdecode(form.encode()) for form in unicode_forms(name))
    found = (folder / form for form in (name, *others) if (folder / form).exists())
    return next(found, folder / name)


def unicode_forms(name: str) -> tuple[str, ...]:
    """The name as written, then with its accented letters as one character and as two."""
    return tuple(dict.fromkeys([name, normalize("NFC", name), normalize("NFD", name)]))


def decode(content: bytes) -> NDArray[np.uint8]:
    """Decode a file's content to (height, width, 3) of BGR, as displayed.

    Grey becomes three equal channels, 16 bits become 8, transparency is left out.

    Raises:
        ValueError: OpenCV does not know the format, or the content is damaged.
        cv2.error: so is its header.
    """
    if not content:
        raise ValueError("the file is empty")
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("OpenCV cannot decode it")
    return image


def reason_of(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
