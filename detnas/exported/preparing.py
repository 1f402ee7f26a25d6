"""From an image file to the input of an exported detector, with numpy and OpenCV or Pillow.

OpenCV is used if it is installed, because the detector was trained with its decoder and its
bilinear resizing. Pillow's bilinear transformation samples the same points; single values may
differ by 1 or 2 of 255.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detnas.errors import UserError
from detnas.exported.description import InputForm
from detnas.optional_imports import find_module
from detnas.records.exports import ExportedFile

Image = NDArray[np.uint8]
"""Height × width × 3: red, green, blue."""


@dataclass(frozen=True)
class PreparedImage:
    """An image as a file takes it.

    Attributes:
        pixels: 3 × H × W of uint8: red, green, blue.
        size: height and width that the image takes of H × W, in pixels.
        scale: width and height of the resized image over those of the original.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    scale: tuple[float, float]


def read_image(path: Path) -> Image:
    """Read an image as a viewer displays it, turned as its EXIF orientation asks.

    Raises:
        UserError: the file is missing or no image.
    """
    try:
        return decode_image(path.read_bytes())
    except OSError as error:
        raise UserError(
            f"image {path} cannot be read: {error.strerror or error}", "give an image"
        ) from error
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"image {path} cannot be read: {error}", "give an image") from error


def decode_image(content: bytes) -> Image:
    """Decode the content of an image file.

    Raises:
        ValueError: it is no image.
        UserError: neither OpenCV nor Pillow is installed.
    """
    cv2 = find_module("cv2")
    if cv2 is not None:
        values = np.frombuffer(content, np.uint8)
        found = cv2.imdecode(values, cv2.IMREAD_COLOR) if len(values) else None
        if found is None:
            raise ValueError("OpenCV cannot decode it")
        return np.ascontiguousarray(found[:, :, ::-1])
    pillow = _pillow()
    try:
        image = pillow.open(io.BytesIO(content))
        turned = find_module("PIL.ImageOps").exif_transpose(image).convert("RGB")
    except (OSError, SyntaxError) as error:
        raise ValueError(str(error)) from error
    return np.asarray(turned)


def prepare(image: Image, form: InputForm, file: ExportedFile) -> PreparedImage:
    """Resize an image at its own aspect ratio, and pad it at the right and at the bottom.

    As in mmdet, an upright image may be as high as one on its side is wide. A file of one fixed
    size takes what fits into it.

    Args:
        image: height × width × 3.
        form: of the input.
        file: its sides are those of the padded image, if it has any.
    """
    height, width = image.shape[:2]
    scale = min(form.long_side / max(height, width), form.short_side / min(height, width))
    if file.height is not None and file.width is not None:
        scale = min(scale, file.height / height, file.width / width)
    new_height, new_width = _rounded(height * scale), _rounded(width * scale)
    padded_height = file.height or _padded(max(new_height, file.least_side), form.divisor)
    padded_width = file.width or _padded(max(new_width, file.least_side), form.divisor)
    pixels = np.full((3, padded_height, padded_width), form.padding, np.uint8)
    pixels[:, :new_height, :new_width] = _resized(image, new_height, new_width).transpose(2, 0, 1)
    return PreparedImage(pixels, (new_height, new_width), (new_width / width, new_height / height))


def _rounded(side: float) -> int:
    return max(1, int(side + 0.5))


def _padded(side: int, divisor: int) -> int:
    return -(-side // divisor) * divisor


def _resized(image: Image, height: int, width: int) -> Image:
    if image.shape[:2] == (height, width):
        return image
    cv2 = find_module("cv2")
    if cv2 is not None:
        resized: Image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        return resized
    pillow = _pillow()
    # Its own resize() averages when it makes an image smaller; a transformation samples, as
    # OpenCV does.
    step_x, step_y = image.shape[1] / width, image.shape[0] / height
    return np.asarray(
        pillow.fromarray(image).transform(
            (width, height),
            pillow.Transform.AFFINE,
            (step_x, 0, 0, 0, step_y, 0),
            resample=pillow.Resampling.BILINEAR,
        )
    )


def _pillow() -> Any:
    pillow = find_module("PIL.Image")
    if pillow is None:
        raise UserError(
            "reading images needs OpenCV or Pillow, and neither is installed", "pip install pillow"
        )
    return pillow
