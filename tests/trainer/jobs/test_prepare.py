import json
from pathlib import Path

import pytest

from detnas.records.requests import PlannedTraining, PrepareRequest
from detnas.records.results import Outcome, PrepareResult
from detnas.records.settings import DataLocation
from detnas_trainer import jobs
from detnas_trainer.training.interruption import Interrupted, Interruption
from tests.trainer.conftest import CLASSES, Workplace, training

KEY = "local/searches/a-1/prepare"


def _prepare(workplace: Workplace, data: DataLocation) -> tuple[int, PrepareResult]:
    request = PrepareRequest(key=KEY, data=data, resolutions=workplace.common["resolutions"])
    code = jobs.run("prepare", workplace.put(request))
    return code, workplace.result(KEY, PrepareResult)


def test_it_says_what_the_data_set_holds(workplace: Workplace, tiny_data: DataLocation) -> None:
    code, result = _prepare(workplace, tiny_data)
    assert (code, result.outcome, result.message) == (0, Outcome.SUCCEEDED, "")
    assert result.classes == CLASSES
    assert result.train is not None
    assert result.val is not None
    assert (result.train.images, result.train.boxes, result.train.empty_images) == (12, 24, 0)
    assert (result.val.images, result.val.boxes) == (6, 12)
    assert len(result.digest) == 64
    assert result.versions["torch"]
    assert {"reading", "images"} <= result.seconds.keys()


def test_it_warns_where_the_manifest_does_not_fit_the_data(
    workplace: Workplace, tiny_data: DataLocation, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = PlannedTraining(
        name="a trial", field="spec.evaluation", training=training(2, warmup_iterations=6)
    )
    request = PrepareRequest(
        key=KEY,
        data=tiny_data,
        resolutions=workplace.common["resolutions"],
        trainings=(trial,),
        anchor_scale=8,
    )
    assert jobs.run("prepare", workplace.put(request)) == 0
    result = workplace.result(KEY, PrepareResult)
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


def test_asked_to_stop_it_ends_without_a_result(
    workplace: Workplace, tiny_data: DataLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Interruption, "check", _interrupted)
    request = PrepareRequest(key=KEY, data=tiny_data, resolutions=workplace.common["resolutions"])
    assert jobs.run("prepare", workplace.put(request)) == 75
    assert workplace.store.get(f"{KEY}/result.json") is None


def _interrupted(_: Interruption) -> None:
    raise Interrupted


def test_missing_and_broken_images_are_named(
    workplace: Workplace, own_data: DataLocation, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(own_data.root)
    (root / "train" / "1.png").unlink()
    broken = root / "val" / "0.png"
    broken.write_bytes(broken.read_bytes()[:60])
    code, result = _prepare(workplace, own_data)
    assert (code, result.outcome) == (42, Outcome.INVALID)
    assert len(result.missing) == 2
    assert f"{root}/train/1.png: missing" in result.missing
    assert result.message.startswith("2 annotated images can not be used: ")
    assert "restore the files" in result.message
    assert result.message in capsys.readouterr().err


def test_contradictions_are_the_results_message(
    workplace: Workplace, own_data: DataLocation, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(own_data.root) / "val.json"
    document = json.loads(path.read_text())
    document["categories"][0]["name"] = "circle"
    path.write_text(json.dumps(document))
    code, result = _prepare(workplace, own_data)
    assert (code, result.outcome) == (42, Outcome.INVALID)
    assert "different categories" in result.message
    assert "Traceback" not in capsys.readouterr().err


def test_boxes_that_are_ignored_are_mentioned(workplace: Workplace, own_data: DataLocation) -> None:
    path = Path(own_data.root) / "train.json"
    document = json.loads(path.read_text())
    document["annotations"][0]["bbox"][2] = 0
    path.write_text(json.dumps(document))
    code, result = _prepare(workplace, own_data)
    assert (code, result.outcome) == (0, Outcome.SUCCEEDED)
    assert "train: 1 boxes below one pixel are ignored, first annotation 1000" in result.message
