from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from detnas.records.settings import Resolution
from detnas_trainer.data.image_check import CheckedImages, check_images
from detnas_trainer.data.images import read_image

NOISE = np.random.default_rng(3).integers(0, 256, (30, 40, 3), dtype=np.uint8)
RGB = Image.fromarray(NOISE)
SIZES = (Resolution(width=64, height=64), Resolution(width=32, height=32))


def _check(root: Path, **sizes: tuple[int, int]) -> CheckedImages:
    return check_images(root, {f"{n}.jpg": size for n, size in sizes.items()}, SIZES, workers=2)


def _photograph(path: Path, orientation: int, image: Image.Image = RGB, **options: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif.tobytes(), **options)


def test_each_broken_image_is_named_with_what_is_wrong(tmp_path: Path) -> None:
    for name in ("sound", "turned", "cut", "other"):
        RGB.save(tmp_path / f"{name}.jpg")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(cut.read_bytes()[:-200])
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "folder.jpg").mkdir()
    whole = (40, 30)
    found = _check(
        tmp_path,
        sound=whole, cut=whole, other=(41, 30), text=whole, folder=whole, absent=whole,
    )  # fmt: skip
    problems = [line.removeprefix(f"{tmp_path}/") for line, _ in found.problems]
    assert [line.split(".")[0] for line in problems] == ["cut", "other", "text", "folder", "absent"]
    for cannot_be_read in (problems[0], problems[2], problems[3]):
        assert "cannot be read (" in cannot_be_read
    assert problems[1] == "other.jpg: is 40x30, annotated as 41x30"
    assert problems[4] == "absent.jpg: missing"
    assert all(remedy for _, remedy in found.problems)


@pytest.mark.parametrize(
    ("name", "image", "options"),
    [
        ("end.png", RGB, {}),  # its last chunk is cut off below
        ("thermal.tif", RGB.convert("F"), {}),
        ("depth.tif", RGB.convert("I"), {}),
        ("render.tga", RGB, {}),
        ("icon.ico", RGB, {}),
    ],
)
def test_image_that_only_pillow_reads_is_named(
    tmp_path: Path, name: str, image: Image.Image, options: dict[str, Any]
) -> None:
    path = tmp_path / name
    image.save(path, **options)
    if name == "end.png":
        path.write_bytes(path.read_bytes()[:-12])
    with Image.open(path) as read:
        size = read.size
        read.load()
    ((line, remedy),) = check_images(tmp_path, {name: size}, SIZES).problems
    assert line == f"{path}: cannot be read (OpenCV cannot decode it)"
    assert "PNG or JPEG" in remedy


def test_damage_that_opencv_ignores_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    RGB.save(path, compression="tiff_lzw")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    assert read_image(tmp_path, "a.tif").shape == (30, 40, 3)
    ((line, _),) = check_images(tmp_path, {"a.tif": (40, 30)}, SIZES).problems
    assert line.startswith(f"{path}: cannot be read (")


@pytest.mark.parametrize("orientation", range(5, 9))
def test_stored_size_of_an_image_displayed_sideways_is_refused(
    tmp_path: Path, orientation: int
) -> None:
    _photograph(tmp_path / "a.jpg", orientation)
    ((line, remedy),) = _check(tmp_path, a=(40, 30)).problems
    assert f"displayed as 30x40, turned by its EXIF orientation {orientation}" in line
    assert "annotated as 40x30, as it is stored" in line
    assert "remove the note" in remedy
    assert _check(tmp_path, a=(30, 40)) == CheckedImages((), 0)


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_orientations_that_keep_the_size_are_accepted_and_counted(
    tmp_path: Path, orientation: int
) -> None:
    _photograph(tmp_path / "a.jpg", orientation)
    _photograph(tmp_path / "b.jpg", 1)
    assert _check(tmp_path, a=(40, 30), b=(40, 30)) == CheckedImages((), 1)


def test_square_image_displayed_sideways_is_counted(tmp_path: Path) -> None:
    _photograph(tmp_path / "a.jpg", 6, RGB.resize((32, 32)))
    assert _check(tmp_path, a=(32, 32)) == CheckedImages((), 1)


def test_exchanged_width_and_height_are_recognised(tmp_path: Path) -> None:
    RGB.save(tmp_path / "a.jpg")
    ((line, remedy),) = _check(tmp_path, a=(30, 40)).problems
    assert "is 40x30, annotated as 30x40: width and height are exchanged" in line
    assert "width and height" in remedy


def test_image_that_opencv_does_not_turn_is_refused(tmp_path: Path) -> None:
    shape = NOISE.copy()
    shape[:10, :10] = 255
    for orientation in (3, 6):
        _photograph(tmp_path / "a.avif", orientation, Image.fromarray(shape))
        ((line, remedy),) = check_images(tmp_path, {"a.avif": (40, 30)}, SIZES).problems
        assert f"OpenCV does not turn it as its EXIF orientation {orientation} asks" in line
        assert "upright" in remedy


@pytest.mark.parametrize(("size", "sound"), [((2000, 16), True), ((3000, 8), False)])
def test_strip_of_which_no_pixel_is_left_is_named(
    tmp_path: Path, size: tuple[int, int], sound: bool
) -> None:
    Image.new("RGB", size).save(tmp_path / "a.png")
    for way in (size, size[::-1]):
        Image.new("RGB", way).save(tmp_path / "a.png")
        problems = check_images(tmp_path, {"a.png": way}, SIZES[:1]).problems
        assert bool(problems) is not sound
        for line, remedy in problems:
            assert f"is {way[0]}x{way[1]}: at 64x64 less than one pixel is left" in line
            assert "crop it" in remedy


def test_image_of_182_megapixels_is_accepted(tmp_path: Path) -> None:
    size = (18_200, 10_000)
    Image.new("1", size).save(tmp_path / "a.bmp")
    assert check_images(tmp_path, {"a.bmp": size}, SIZES) == CheckedImages((), 0)


def test_header_that_asks_for_terabytes_is_named_and_not_decoded(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"P6\n1000000 1000000\n255\n" + bytes(90))
    ((line, _),) = _check(tmp_path, a=(40, 30)).problems
    assert "is 1000000x1000000, annotated as 40x30" in line


def test_check_reports_progress_and_can_be_stopped(tmp_path: Path) -> None:
    files = {f"{number}.png": (1, 1) for number in range(150)}
    told: list[int] = []
    assert len(check_images(tmp_path, files, SIZES, checked=told.append).problems) == 150
    assert sum(told) == 150
    assert len(told) > 1

    def stop(images: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_images(tmp_path, files, SIZES, checked=stop)
