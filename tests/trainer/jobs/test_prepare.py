from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from detnas.data_identity import load_listing
from detnas.plan.data_remarks import data_remarks
from detnas.records.requests import PlannedTraining
from detnas.records.results import Outcome, PrepareResult
from detnas.records.settings import DataLocation
from tests.trainer.conftest import (
    CLASSES,
    Workplace,
    edit_json,
    stopping,
    training,
    write_data_set,
)

KEY = "local/searches/a-1/prepare"


def _prepared(workplace: Workplace, **changes: Any) -> PrepareResult:
    return workplace.succeed(workplace.prepare_request(KEY, **changes))


def test_prepare_describes_a_sound_dataset(workplace: Workplace) -> None:
    result = _prepared(workplace)
    assert (result.outcome, result.message) == (Outcome.SUCCEEDED, "")
    assert result.classes == CLASSES
    assert result.train is not None
    assert result.val is not None
    assert (result.train.images, result.train.boxes, result.train.empty_images) == (12, 24, 0)
    assert (result.val.images, result.val.boxes) == (6, 12)
    assert len(result.digest) == 64
    assert result.versions["torch"]
    assert {"reading", "images"} <= result.seconds.keys()


def test_prepare_warns_if_the_manifest_does_not_fit_the_data(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = PlannedTraining(
        name="a trial", field="spec.evaluation", training=training(2, warmup_iterations=6)
    )
    result = _prepared(workplace, trainings=(trial,), anchor_scale=8)
    assert result.outcome is Outcome.SUCCEEDED, "a warning refuses nothing"
    fields = [warning.partition(":")[0] for warning in result.warnings]
    assert fields == [
        "spec.evaluation.warmupIterations",
        "spec.evaluation",
        "spec.detector.anchorScale",
        "spec.dataset.val",
    ]
    assert "2 epochs of 12 images in batches of 4 are 6 steps" in result.warnings[1]
    assert "6 images can tell mAP only to about ±20.4 points" in result.warnings[3]
    logged = capsys.readouterr().err
    assert all(warning in logged for warning in result.warnings)


def test_stopped_prepare_ends_without_a_result(workplace: Workplace) -> None:
    with stopping():
        assert workplace.run(workplace.prepare_request(KEY)) == 75
    assert not workplace.has_result(KEY)


def test_missing_and_broken_images_are_named(
    workplace: Workplace, own_data: DataLocation, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(own_data.root)
    (root / "train" / "1.png").unlink()
    broken = root / "val" / "0.png"
    broken.write_bytes(broken.read_bytes()[:60])
    result = _prepared(workplace, data=own_data)
    assert result.outcome is Outcome.INVALID
    assert len(result.missing) == 2
    assert f"{root}/train/1.png: missing" in result.missing
    assert result.message.startswith("2 annotated images cannot be used: ")
    assert "; restore what is missing; restore what cannot be read, or" in result.message
    assert result.message in capsys.readouterr().err


def test_contradictory_annotations_are_the_results_message(
    workplace: Workplace, own_data: DataLocation, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_json(Path(own_data.root) / "val.json", lambda d: d["categories"][0].update(name="circle"))
    result = _prepared(workplace, data=own_data)
    assert result.outcome is Outcome.INVALID
    assert "different categories" in result.message
    assert "Traceback" not in capsys.readouterr().err


def test_boxes_that_training_ignores_are_counted(
    workplace: Workplace, own_data: DataLocation, capsys: pytest.CaptureFixture[str]
) -> None:
    def damage(document: dict[str, Any]) -> None:
        boxes = document["annotations"]
        boxes[0]["bbox"][2] = 0
        boxes[1]["bbox"] = [-20, 5, 9, 9]
        boxes[2]["iscrowd"] = 1
        boxes[3] |= {"bbox": [50, 5, 30, 9], "category_id": 3}
        document["annotations"] = [box for box in boxes if box["image_id"] != 102]

    root = Path(own_data.root)
    edit_json(root / "train.json", damage)
    turned = Image.Exif()
    turned[0x0112] = 3
    with Image.open(root / "val" / "0.png") as image:
        image.save(root / "val" / "0.png", exif=turned.tobytes())
    result = _prepared(workplace, data=own_data)
    assert result.outcome is Outcome.SUCCEEDED
    assert result.train is not None
    assert result.val is not None
    counts = result.train.model_dump(exclude={"sha256"})
    assert counts == {
        "images": 3, "boxes": 2, "empty_images": 2, "crowds": 1, "clipped": 1, "too_small": 1,
        "outside": 1, "marked": 0, "classes_without_boxes": ("square",), "turned_images": 0,
    }  # fmt: skip
    assert result.val.turned_images == 1
    assert result.message == "; ".join(data_remarks(result))
    assert result.message in capsys.readouterr().err


@pytest.mark.parametrize("split", ["train", "val"])
def test_split_of_crowds_only_is_invalid(
    workplace: Workplace, own_data: DataLocation, split: str
) -> None:
    path = Path(own_data.root) / f"{split}.json"
    edit_json(path, lambda d: [box.update(iscrowd=1) for box in d["annotations"]])
    result = _prepared(workplace, data=own_data)
    assert result.outcome is Outcome.INVALID
    assert f"{split}: {path} holds no box that can be learnt" in result.message


def test_every_kind_of_problem_brings_its_remedy(
    workplace: Workplace, own_data: DataLocation
) -> None:
    def damage(document: dict[str, Any]) -> None:
        strip = {"id": 1, "file_name": "strip.png", "width": 3000, "height": 8}
        document["images"].append(strip)
        document["images"][0] |= {"height": 70}

    root = Path(own_data.root)
    Image.new("RGB", (3000, 8)).save(root / "train" / "strip.png")
    edit_json(root / "train.json", damage)
    result = _prepared(workplace, data=own_data)
    assert "0.png: is 64x64, annotated as 64x70" in result.message
    assert "give the image's own size" in result.message
    assert "strip.png: is 3000x8: at 48x48 less than one pixel is left" in result.message
    assert "choose larger resolutions" in result.message


def test_test_split_is_checked_and_listed_apart(workplace: Workplace, tmp_path: Path) -> None:
    """Pools are identified by the other listing: they do not depend on the test images."""
    data = write_data_set(tmp_path / "three", train=3, val=2, test=4)
    result = _prepared(workplace, data=data)
    assert result.outcome is Outcome.SUCCEEDED
    assert result.test is not None
    assert result.test.images == 4
    assert result.test_annotations == (*result.annotations, result.test.sha256)
    assert not [warning for warning in result.warnings if "test images" in warning]
    listing = load_listing(workplace.store, result.test_listing)
    assert listing is not None
    assert (len(listing.train), len(listing.val), len(listing.test)) == (0, 0, 4)
    assert "test" in result.verbs

    two = data.model_copy(update={"test": None, "test_images": ""})
    without = workplace.succeed(workplace.prepare_request("local/b/prepare", data=two))
    assert without.test is None
    assert result.digest == without.digest
    assert result.image_listing is not None
    assert result.image_listing.sha256 == without.image_listing.sha256


def test_test_images_that_are_validation_images_are_warned_of(
    workplace: Workplace, tmp_path: Path
) -> None:
    data = write_data_set(tmp_path / "three", train=3, val=2, test=4)
    copied = Path(data.root) / "val" / "1.png"
    (Path(data.root) / "test" / "3.png").write_bytes(copied.read_bytes())
    result = _prepared(workplace, data=data)
    assert result.outcome is Outcome.SUCCEEDED
    (warning,) = [one for one in result.warnings if "test images" in one]
    assert "1 of 4 test images are validation images, too (first 3.png)" in warning


def test_test_split_of_other_classes_or_broken_images_is_invalid(
    workplace: Workplace, tmp_path: Path
) -> None:
    data = write_data_set(tmp_path / "three", train=3, val=2, test=4)
    (Path(data.root) / "test" / "2.png").unlink()
    assert "test/2.png" in _prepared(workplace, data=data).message
    edit_json(Path(data.root) / "test.json", lambda d: d["categories"].reverse())
    found = workplace.succeed(workplace.prepare_request("local/b/prepare", data=data))
    assert found.outcome is Outcome.INVALID
    words = "train and test list different categories (the same ones in another order"
    assert words in found.message
