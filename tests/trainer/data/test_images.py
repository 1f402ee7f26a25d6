from pathlib import Path

import pytest
from PIL import Image

from detnas_trainer.data.images import broken_images


def test_each_broken_image_is_named_with_what_is_wrong(tmp_path: Path) -> None:
    for name in ("sound", "turned", "cut", "other"):
        Image.new("RGB", (40, 30), (9, 99, 200)).save(tmp_path / f"{name}.jpg")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(cut.read_bytes()[:-200])
    (tmp_path / "text.jpg").write_text("no image")
    sizes = {
        "sound.jpg": (40, 30),
        "turned.jpg": (30, 40),  # as the camera noted it
        "cut.jpg": (40, 30),
        "other.jpg": (41, 30),
        "text.jpg": (40, 30),
        "absent.jpg": (40, 30),
    }
    problems = list(broken_images(tmp_path, sizes, workers=2))
    assert [Path(line.split(":")[0]).stem for line in problems] == [
        "cut", "other", "text", "absent",
    ]  # fmt: skip
    assert "can not be read" in problems[0]
    assert "is 40x30, annotated as 41x30" in problems[1]
    assert "can not be read" in problems[2]
    assert problems[3].endswith("missing")


def test_it_tells_how_far_it_is_and_can_be_stopped_there(tmp_path: Path) -> None:
    sizes = {f"{number}.png": (1, 1) for number in range(150)}
    told: list[int] = []
    assert len(list(broken_images(tmp_path, sizes, checked=told.append))) == 150
    assert sum(told) == 150
    assert len(told) > 1

    def stop(images: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(broken_images(tmp_path, sizes, checked=stop))
