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

from detnas_trainer.data.annotations import DataError
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
def test_a_image_is_read_as_it_is_displayed(tmp_path: Path, orientation: int) -> None:
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


def test_the_name_as_written_comes_first(tmp_path: Path) -> None:
    _save(tmp_path, COMPOSED, RGB)
    _save(tmp_path, DECOMPOSED, RGB.crop((0, 0, 9, 9)))
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system keeps one form only")
    assert read_image(tmp_path, DECOMPOSED).shape == (9, 9, 3)


_READ = """
import sys
from pathlib import Path
from detnas_trainer.data.annotations import read_split
from detnas_trainer.data.images import read_image
print(sys.getfilesystemencoding())
folder = Path(sys.argv[1])
split = read_split(folder / "a.json", "train")
print(ascii(split.classes), [read_image(folder, name).shape for name in split.files])
"""


def test_the_locale_changes_nothing(tmp_path: Path) -> None:
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
def test_what_cannot_be_decoded_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(DataError, match=r"image .*/a\.jpg cannot be read \(.+\)"):
        read_image(tmp_path, "a.jpg")


@pytest.mark.parametrize("name", ["absent.jpg", "a" * 300, ".", "a.txt/b.jpg"])
def test_what_is_no_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(DataError, match=name):
        read_image(tmp_path, name)


def test_an_error_of_the_decoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise cv2.error("no memory\n")

    _save(tmp_path, "a.png", RGB)
    monkeypatch.setattr(cv2, "imdecode", fails)
    with pytest.raises(DataError, match=r"a\.png cannot be read \(no memory\)"):
        read_image(tmp_path, "a.png")
