"""Reads images: what the data check accepts is what training and scoring see.

OpenCV decodes, as stock mmdet does wherever the exported detector is used. An image is what a
viewer displays: OpenCV turns it as its EXIF orientation asks.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from detnas.data_identity.files import find_image
from detnas.own_data.coco_json import DataError


def read_image(folder: Path, name: str) -> NDArray[np.uint8]:
    """Read an image as (height, width, 3) of BGR.

    Raises:
        DataError: the file is missing or cannot be decoded; the message names it.
    """
    try:
        return decode(find_image(folder, name).read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"image {folder / name} is missing", "restore the file") from error
    except Exception as error:  # decoders can raise anything
        raise DataError(
            f"image {folder / name} cannot be read ({reason_of(error)})", "restore the file"
        ) from error


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
