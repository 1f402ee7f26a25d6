"""Images are read alike by the check, by training and by stock mmdet, damaged ones too."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image, ImageOps

from detnas.own_data.coco_json import DataError
from detnas.records.settings import Resolution
from detnas_trainer.data.image_check import check_images
from detnas_trainer.data.images import read_image

NOISE = np.random.default_rng(3).integers(0, 256, (30, 40, 3), dtype=np.uint8)
RGB = Image.fromarray(NOISE)
DEEP = Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257)
COMPOSED, DECOMPOSED = "caf\u00e9/\u00e9.png", "cafe\u0301/e\u0301.png"


def _save(folder: Path, name: str, image: Image.Image, **options: Any) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


@pytest.mark.parametrize(
    ("name", "image", "options"),
    [
        ("plain.jpg", RGB, {"quality": 90}),
        ("progressive.jpg", RGB, {"progressive": True}),
        ("grey.jpg", RGB.convert("L"), {}),
        ("print.jpg", RGB.convert("CMYK"), {}),
        ("plain.png", RGB, {}),
        ("palette.png", RGB.convert("P"), {}),
        ("transparent.png", RGB.convert("RGBA"), {}),
        ("deep.png", DEEP, {}),
    ],
)
def test_images_are_read_as_stock_mmdet_reads_them(
    tmp_path: Path, name: str, image: Image.Image, options: dict[str, Any]
) -> None:
    _save(tmp_path, name, image, **options)
    pixels = read_image(tmp_path, name)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (30, 40, 3)
    assert np.array_equal(pixels, mmcv.imread(tmp_path / name))


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (RGB, NOISE),
        (RGB.convert("L"), np.asarray(RGB.convert("L"))[..., None].repeat(3, axis=2)),
        (DEEP, NOISE[..., :1].repeat(3, axis=2)),
        (RGB.convert("P"), np.asarray(RGB.convert("P").convert("RGB"))),
        (Image.merge("RGBA", [*RGB.split(), RGB.split()[0]]), NOISE),
    ],
)
def test_every_mode_becomes_three_channels_of_eight_bits(
    tmp_path: Path, image: Image.Image, expected: np.ndarray
) -> None:
    _save(tmp_path, "a.png", image)
    assert np.array_equal(read_image(tmp_path, "a.png"), expected[..., ::-1])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_image_is_read_as_displayed(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    _save(tmp_path, "a.jpg", RGB, quality=95, exif=exif.tobytes())
    with Image.open(tmp_path / "a.jpg") as image:
        displayed = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(read_image(tmp_path, "a.jpg"), displayed[..., ::-1])


@pytest.mark.parametrize(
    ("annotated", "stored"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED), (COMPOSED, COMPOSED)]
)
def test_accented_names_are_found_in_either_unicode_form(
    tmp_path: Path, annotated: str, stored: str
) -> None:
    _save(tmp_path, stored, RGB)
    assert read_image(tmp_path, annotated).shape == (30, 40, 3)


def test_name_as_written_comes_first(tmp_path: Path) -> None:
    _save(tmp_path, COMPOSED, RGB)
    _save(tmp_path, DECOMPOSED, RGB.crop((0, 0, 9, 9)))
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system keeps one form only")
    assert read_image(tmp_path, DECOMPOSED).shape == (9, 9, 3)


_READ = """
import sys
from pathlib import Path
from detnas_trainer.data.annotations import (read_split,)
from detnas_trainer.data.images import read_image
print(sys.getfilesystemencoding())
folder = Path(sys.argv[1])
split = read_split(folder / "a.json", "train")
print(ascii(split.classes), [read_image(folder, name).shape for name in split.files])
"""


def test_locale_changes_nothing(tmp_path: Path) -> None:
    names = ["W\u00fcrfel.png", "\u9aa8.png"]
    for name in names:
        _save(tmp_path, name, RGB)
    images = [{"id": i, "file_name": n, "width": 40, "height": 30} for i, n in enumerate(names)]
    box = {"id": 1, "image_id": 0, "category_id": 1, "bbox": [1, 1, 9, 9], "area": 81, "iscrowd": 0}
    document = {
        "images": images, "annotations": [box], "categories": [{"id": 1, "name": names[0]}]
    }  # fmt: skip
    text = json.dumps(document, ensure_ascii=False)
    (tmp_path / "a.json").write_bytes(text.encode())
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", _READ, tmp_path],
        env={**os.environ, **ascii_only},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    encoding, found = done.stdout.splitlines()
    assert encoding == "ascii"
    assert found == "('W\\xfcrfel.png',) [(30, 40, 3), (30, 40, 3)]"


@pytest.mark.parametrize(
    "content",
    [b"", b"no image", b"\xff\xd8\xff\xe0 and then nothing", b"GIF89a"],
    ids=["empty", "text", "jpeg", "gif"],
)
def test_undecodable_image_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(DataError, match=r"image .*/a\.jpg cannot be read \(.+\)"):
        read_image(tmp_path, "a.jpg")


@pytest.mark.parametrize("name", ["absent.jpg", "a" * 300, ".", "a.txt/b.jpg"])
def test_missing_image_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(DataError, match=name):
        read_image(tmp_path, name)


def test_error_of_the_decoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise cv2.error("no memory\n")

    _save(tmp_path, "a.png", RGB)
    monkeypatch.setattr(cv2, "imdecode", fails)
    with pytest.raises(DataError, match=r"a\.png cannot be read \(no memory\)"):
        read_image(tmp_path, "a.png")


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
def test_damaged_image_is_read_by_training_or_named_by_the_check(tmp_path: Path, name: str) -> None:
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
def test_intact_image_of_any_name_is_read_alike_by_both(tmp_path: Path, name: str) -> None:
    for written in (name, f"{name}.jpg", "no-extension"):
        (tmp_path / written).write_bytes(_encoded(name))
        found = check_images(tmp_path, {written: SIZE}, RESOLUTIONS)
        assert _trains(tmp_path, written) == (not found.problems)
