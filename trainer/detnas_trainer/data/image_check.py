"""Whether every annotated image is present and intact, and has the annotated size."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from detnas.data_identity.files import find_image
from detnas.processors import processors
from detnas.records.settings import Resolution
from detnas_trainer.data.images import decode, reason_of
from detnas_trainer.openmmlab import rescale_size

# Pillow's default refuses images above 179 megapixels; OpenCV, which trains, reads up to 1074.
Image.MAX_IMAGE_PIXELS = None

_AT_ONCE = 64
_ORIENTATION = 0x0112
_UPRIGHT = 1
_SIDEWAYS = 5
"""From this orientation on, width and height of the displayed image are exchanged."""

_SAMPLED = 8
"""Every eighth pixel of every eighth row suffices to recognise an orientation."""

Size = tuple[int, int]
Problem = tuple[str, str]
"""What is wrong with an image, its path first; and the remedy."""

_RESTORE = "restore what is missing"
_CONVERT = "restore what cannot be read, or convert it to an 8-bit PNG or JPEG"
_EXCHANGED = "give the width and height that the image is displayed with, and boxes as there"
_STORED = (
    "remove the note where boxes were drawn on the image as it is stored; else give its size as "
    "it is displayed"
)
_TURN = "save the image upright, without the note"
_THIN = "crop it or leave it out, or choose larger resolutions"
_SIZE = "give the image's own size, or restore the image that was annotated"


@dataclass(frozen=True)
class CheckedImages:
    """What was found.

    Attributes:
        problems: of images that cannot be used, in the files' order.
        turned: images that are displayed mirrored or turned at the size they are stored with:
            nothing shows whether boxes were drawn on the displayed image, which is assumed.
    """

    problems: tuple[Problem, ...]
    turned: int


def check_images(
    folder: Path,
    files: dict[str, Size],
    resolutions: Sequence[Resolution],
    workers: int | None = None,
    checked: Callable[[int], None] = lambda images: None,
) -> CheckedImages:
    """Decode every image as training does, and once more with Pillow.

    Each finds damage that the other ignores.

    Args:
        folder: what the names are relative to.
        files: name and annotated (width, height) in pixels.
        resolutions: sizes that the images will be resized to.
        workers: threads; by default one for each processor that this process may use.
        checked: called repeatedly with the number of images checked since the last call.
    """

    def check(file: tuple[str, Size]) -> Problem | bool:
        return _check(folder, *file, resolutions)

    remaining = iter(files.items())
    problems: list[Problem] = []
    turned = 0
    with ThreadPoolExecutor(workers or processors()) as threads:
        # In portions, so that `checked` can stop it without waiting for the rest.
        while some := list(islice(remaining, _AT_ONCE)):
            for found in threads.map(check, some):
                if isinstance(found, tuple):
                    problems.append(found)
                else:
                    turned += found
            checked(len(some))
    return CheckedImages(tuple(problems), turned)


def _check(
    folder: Path, name: str, size: Size, resolutions: Sequence[Resolution]
) -> Problem | bool:
    """What is wrong with an image; else whether its boxes may be for another orientation."""
    path = folder / name
    try:
        content = find_image(folder, name).read_bytes()
        image = _AnnotatedImage(content, size)
    except FileNotFoundError:
        return f"{path}: missing", _RESTORE
    except Exception as error:  # noqa: BLE001  (Pillow and OpenCV can raise anything)
        return f"{path}: cannot be read ({reason_of(error)})", _CONVERT
    problem = image.problem() or _thin(size, resolutions)
    if problem:
        return f"{path}: {problem[0]}", problem[1]
    return image.ambiguous


class _AnnotatedImage:
    """An image as both libraries read it, beside its annotated size.

    One whose header names another size is not decoded: a damaged header can ask for more memory
    than there is.
    """

    def __init__(self, content: bytes, size: Size) -> None:
        self._annotated = size
        self._turned = True
        with Image.open(BytesIO(content)) as image:
            self._note = _orientation(image)
            if image.size not in (size, size[::-1]):
                self._displayed = self._stored = image.size
                return
            image.load()
            pixels = decode(content)
            self._turned = self._note == _UPRIGHT or _resembles(pixels, image)
        self._displayed = (pixels.shape[1], pixels.shape[0])
        self._stored = self._displayed[::-1] if self._note >= _SIDEWAYS else self._displayed

    @property
    def ambiguous(self) -> bool:
        """Whether the size does not tell if boxes are meant as displayed or as stored."""
        return self._note != _UPRIGHT and self._stored == self._displayed

    def problem(self) -> Problem | None:
        """Why it cannot be used with its annotations."""
        found, given = _text(self._displayed), _text(self._annotated)
        if not self._turned:
            return f"OpenCV does not turn it as its EXIF orientation {self._note} asks", _TURN
        if self._annotated == self._displayed:
            return None
        if self._annotated == self._stored:
            return (
                f"is displayed as {found}, turned by its EXIF orientation {self._note}, and "
                f"annotated as {given}, as it is stored"
            ), _STORED
        if self._annotated == self._displayed[::-1]:
            return (f"is {found}, annotated as {given}: width and height are exchanged"), _EXCHANGED
        return f"is {found}, annotated as {given}", _SIZE


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; upright if it is not valid."""
    try:
        note = image.getexif().get(_ORIENTATION, _UPRIGHT)
    except Exception:  # noqa: BLE001  (a note that cannot be read turns nothing)
        return _UPRIGHT
    return note if note in range(2, 9) else _UPRIGHT


def _resembles(pixels: NDArray[np.uint8], image: Image.Image) -> bool:
    """Whether OpenCV's pixels are the image as displayed rather than as stored."""
    found = _sampled(pixels[..., ::-1])
    displayed = _sampled(np.asarray(ImageOps.exif_transpose(image).convert("RGB")))
    stored = _sampled(np.asarray(image.convert("RGB")))
    if found.shape != displayed.shape:
        return False
    if found.shape != stored.shape:
        return True
    return bool(np.abs(found - displayed).mean() <= np.abs(found - stored).mean())


def _sampled(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    return pixels[::_SAMPLED, ::_SAMPLED].astype(np.int16)


def _thin(size: Size, resolutions: Sequence[Resolution]) -> Problem | None:
    """The problem of a strip whose shorter side, once resized, has less than one pixel."""
    for resolution in resolutions:
        if min(rescale_size(size, (resolution.width, resolution.height))) < 1:
            return f"is {_text(size)}: at {resolution} less than one pixel is left", _THIN
    return None


def _text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
