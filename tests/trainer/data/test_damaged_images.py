"""Images of a dozen formats, damaged at random: the check names whatever training cannot read."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from detnas.records.settings import Resolution
from detnas_trainer.data.annotations import DataError
from detnas_trainer.data.image_check import check_images
from detnas_trainer.data.images import read_image

SIZE = (48, 32)
RESOLUTIONS = (Resolution(width=64, height=64),)
COPIES = 12

_RANDOM = np.random.default_rng(9)
_NOISE = _RANDOM.integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
_RGB = Image.fromarray(_NOISE)
_TURNED = Image.Exif()
_TURNED[0x0112] = 3
_FORMATS: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
    "plain.jpg": (_RGB, "JPEG", {}),
    "turned.jpg": (_RGB, "JPEG", {"exif": _TURNED.tobytes(), "progressive": True}),
    "print.jpg": (_RGB.convert("CMYK"), "JPEG", {}),
    "plain.png": (_RGB, "PNG", {}),
    "palette.png": (_RGB.convert("P"), "PNG", {}),
    "deep.png": (Image.fromarray(_NOISE[..., 0].astype(np.uint16) * 257), "PNG", {}),
    "web.gif": (_RGB, "GIF", {}),
    "plain.bmp": (_RGB, "BMP", {}),
    "plain.tif": (_RGB, "TIFF", {}),
    "packed.tif": (_RGB, "TIFF", {"compression": "tiff_lzw"}),
    "thermal.tif": (_RGB.convert("F"), "TIFF", {}),
    "plain.webp": (_RGB, "WEBP", {"exif": _TURNED.tobytes()}),
    "plain.avif": (_RGB, "AVIF", {}),
    "plain.jp2": (_RGB, "JPEG2000", {}),
    "plain.ppm": (_RGB, "PPM", {}),
    "plain.tga": (_RGB, "TGA", {}),
    "plain.ico": (_RGB, "ICO", {"sizes": [SIZE]}),
}


def _encoded(name: str) -> bytes:
    image, form, options = _FORMATS[name]
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


def _damaged(content: bytes, kind: int, random: np.random.Generator) -> bytes:
    damaged = bytearray(content)
    place = int(random.integers(len(damaged)))
    if kind == 0:  # cut anywhere
        del damaged[place:]
    elif kind == 1:  # the very end cut off
        del damaged[-int(random.integers(1, 20)) :]
    elif kind == 2:  # a few bytes flipped
        for _ in range(int(random.integers(1, 6))):
            damaged[int(random.integers(len(damaged)))] ^= 1 << int(random.integers(8))
    elif kind == 3:  # a header's byte is another one
        damaged[int(random.integers(min(100, len(damaged))))] = int(random.integers(256))
    else:  # a hole
        del damaged[place : place + int(random.integers(1, 30))]
    return bytes(damaged)


def _trains(folder: Path, name: str) -> bool:
    try:
        pixels = read_image(folder, name)
    except DataError:
        return False
    return pixels.shape == (SIZE[1], SIZE[0], 3)


@pytest.mark.parametrize("name", _FORMATS)
def test_a_damaged_image_is_read_by_training_or_named_by_the_check(
    tmp_path: Path, name: str
) -> None:
    content = _encoded(name)
    random = np.random.default_rng(sum(name.encode()))
    names = []
    for copy in range(COPIES):
        # Names lie as often as not.
        names.append(f"{copy}-{name}" if copy % 3 else f"{copy}-{name}.jpg")
        (tmp_path / names[-1]).write_bytes(_damaged(content, copy % 5, random))
    found = check_images(tmp_path, dict.fromkeys(names, SIZE), RESOLUTIONS, workers=1)
    named = {Path(line.split(": ")[0]).name for line, _ in found.problems}
    assert named <= set(names)
    assert named, "none of them was damaged enough"
    for unnamed in set(names) - named:
        assert _trains(tmp_path, unnamed)


@pytest.mark.parametrize("name", _FORMATS)
def test_a_whole_image_of_any_name_is_read_alike_by_both(tmp_path: Path, name: str) -> None:
    for written in (name, f"{name}.jpg", "no-extension"):
        (tmp_path / written).write_bytes(_encoded(name))
        found = check_images(tmp_path, {written: SIZE}, RESOLUTIONS)
        assert _trains(tmp_path, written) == (not found.problems)
