"""What the trainer answers `detnas init`: the data check's findings, and a time."""

import pytest

from detnas.architecture import parse
from detnas.cli import main
from detnas.records.look import LookRequest, TimedStep
from detnas.records.settings import DataLocation, DetectorShape, Resolution
from detnas.runner.trainer_look import ask_trainer
from detnas.spec import load_manifest
from detnas_trainer.look import look
from tests.detnas.own_data.data_sets import draw, make_coco

SIZES = (Resolution(width=32, height=32), Resolution(width=64, height=48))
STEP = TimedStep(
    architecture=parse("[(8, 8)], [(8, 8)], [(8, 8)], [(8, 8)]"),
    detector=DetectorShape(neck=8, fc=16, proposals=20, roi_samples=16, anchor_scale=2),
    classes=3,
    resolutions=SIZES,
    batch=2,
)


def request(root):
    splits = {"train": "train.json", "val": "val.json", "test": "test.json"}
    folders = dict.fromkeys(("train_images", "val_images", "test_images"), "images")
    data = DataLocation(root=str(root), **splits, **folders)
    return LookRequest(data=data, resolutions=SIZES, on_cpu=STEP, on_gpu=STEP)


@pytest.fixture
def pets(tmp_path):
    return make_coco(tmp_path / "pets", {"train": 6, "val": 2, "test": 2})


def test_a_sound_data_set_is_counted_and_a_step_timed(pets):
    advanced = []
    answer = look(request(pets), lambda *done: advanced.append(done))
    assert (answer.problem, answer.images) == ("", ())
    assert {name: split.images for name, split in answer.splits.items()} == {
        "train": 6,
        "val": 2,
        "test": 2,
    }
    assert advanced[-1] == (10, 10)
    assert 0 < answer.seconds_per_image < 10


def test_damaged_and_missing_images_are_named(pets):
    (pets / "images" / "train000.png").write_bytes(b"no image")
    (pets / "images" / "val001.png").unlink()
    draw(pets / "images" / "test000.png", (60, 48))
    images = look(request(pets), lambda *_: None).images
    assert len(images) == 3
    assert "train000.png: cannot be read" in images[0]
    assert "val001.png: missing; restore what is missing" in images[1]
    assert "test000.png: is 60x48, annotated as 64x48" in images[2]


def test_wrong_annotations_are_a_problem(pets):
    (pets / "val.json").write_text("{}")
    assert "'images' of" in look(request(pets), lambda *_: None).problem


def test_the_command_answers_through_its_own_process(pets):
    answer = ask_trainer(request(pets), lambda *_: None)
    assert answer.splits["train"].images == 6


@pytest.mark.slow
def test_init_checks_and_times_on_this_machine(pets, tmp_path, monkeypatch, capsys):
    to = tmp_path / "search.yaml"
    monkeypatch.setattr("sys.argv", ["detnas", "init", str(pets), "--to", str(to), "--yes"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert not caught.value.code
    assert "(timed)" in capsys.readouterr().out
    assert load_manifest(to).metadata.name == "pets"
