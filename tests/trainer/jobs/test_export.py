"""The export job; what its folder does elsewhere is tested with whole searches."""

import contextlib
import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detnas.exported import load_description
from detnas.gain import Gain
from detnas.lifecycle.reading.verification import problem_with
from detnas.records import keys
from detnas.records.artifacts import COMPARISON, MAX_COMPARISON_BYTES
from detnas.records.requests import ExportRequest
from detnas.records.results import DetectorResult, ExportResult, Score
from detnas.records.settings import DetectorVariant
from detnas.store.artifacts import create_record, load_record
from detnas_trainer import comparison
from detnas_trainer.bootstrap import Detection
from detnas_trainer.jobs.verbs import export as export_job
from detnas_trainer.jobs.verbs.scoring import found_at
from detnas_trainer.model_card import model_card
from tests.trainer.conftest import Workplace, stopping, training
from tests.trainer.evolve.students import STUDENTS

KEY = "local/a/students/best"
FILES = {
    *("detector.py", "detector.pth", "detnas_backbone.py", "detnas_mmcv_ext.py"),
    *("architecture.json", "detector.json", "README.md", "predictions.json"),
}


@pytest.fixture
def trained(workplace: Workplace) -> DetectorResult:
    return workplace.succeed(workplace.base_request("local/a/base", training=training(1)))


@pytest.fixture
def request_(workplace: Workplace, trained: DetectorResult) -> ExportRequest:
    """An export of the base itself."""
    return workplace.export_request(KEY, **exported(trained))


def exported(result: DetectorResult) -> dict[str, Any]:
    """What an export request states of the detector to export, and of the base."""
    return {
        "weights": result.weights,
        "resolution": result.scores[-1].resolution,
        "expected_map": result.scores[-1].map,
        "base_weights": result.weights,
        "base_resolution": result.scores[0].resolution,
    }


def test_export_publishes_the_folder_with_map_and_latencies(
    workplace: Workplace, trained: DetectorResult, request_: ExportRequest
) -> None:
    result = workplace.succeed(request_)
    assert set(result.files) == FILES
    assert all(workplace.store.size(f.key) == f.size for f in result.files.values())
    assert result.map == trained.scores[-1].map
    times = (result.student_latency, result.base_latency, result.base_latency_same_resolution)
    assert [str(time.resolution) for time in times if time] == ["64x64", "48x48", "64x64"]
    assert all(time and time.milliseconds > 0 for time in times)


def test_folder_without_further_files_is_benchmarked(
    workplace: Workplace, request_: ExportRequest, tmp_path: Path
) -> None:
    result = workplace.succeed(request_)
    assert isinstance(result, ExportResult)
    assert result.exported == ()
    folder = tmp_path / "store" / KEY
    (mmdet,) = load_description(folder).files
    assert (mmdet.path, mmdet.map) == ("detector.pth", result.map)
    words = ("bench", str(folder / "detector.pth"), "--runs", "3", "--threads", "1", "-o", "json")
    command = [sys.executable, "-c", "from detnas.cli import main; main()", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = json.loads(done.stdout)["files"]
    assert file["latency"]["median"] > 0


def test_export_of_torchvisions_variant_brings_its_anchors(workplace: Workplace) -> None:
    shape = workplace.common["detector"].model_copy(update={"variant": DetectorVariant.TORCHVISION})
    workplace.common["detector"] = shape
    trained = workplace.succeed(workplace.base_request("local/a/base", training=training(1)))
    result = workplace.succeed(workplace.export_request(KEY, **exported(trained)))
    assert set(result.files) == {*FILES, "detnas_anchors.py"}
    assert result.map == trained.scores[-1].map
    assert "is the backbone, `detnas_anchors.py` its anchors, and" in _texts(workplace)[1]


@pytest.mark.parametrize("family", ["resnext", "mobilenetv2"])
def test_export_of_each_family_has_the_map_of_its_training(
    workplace: Workplace, family: str
) -> None:
    architecture = STUDENTS[family]
    trained = workplace.succeed(
        workplace.base_request("local/a/base", architecture=architecture, training=training(1))
    )
    one = workplace.export_request(KEY, **exported(trained))
    request = one.model_copy(update={"architecture": architecture, "base": architecture})
    assert workplace.succeed(request).map == trained.scores[-1].map


def test_export_of_the_base_says_so(workplace: Workplace, request_: ExportRequest) -> None:
    result = workplace.succeed(request_)
    described, readme = _texts(workplace)
    assert described["isBase"] is True
    assert "This is the base detector itself: the search found no student" in readme
    assert result.student_latency == result.base_latency_same_resolution, "one measurement for both"


def test_export_of_a_student_is_shown_beside_the_base(
    workplace: Workplace, request_: ExportRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "CONFIDENCE", 0.0)  # after six steps they are sure of nothing
    other = workplace.base_request("local/a/other", training=training(2), seed=6)
    base = workplace.succeed(other).weights
    result = workplace.succeed(request_.model_copy(update={"base_weights": base}))
    described, readme = _texts(workplace)
    assert described["isBase"] is False
    assert "base detector itself" not in readme
    assert "Found by detnas" in readme
    assert set(result.files) == {*FILES, COMPARISON}
    assert "](comparison.jpg)" in readme
    assert result.files[COMPARISON].size <= MAX_COMPARISON_BYTES


def test_predictions_are_for_the_annotation_file_as_it_is(
    workplace: Workplace, trained: DetectorResult, request_: ExportRequest
) -> None:
    """A test server knows neither our numbers nor our reader."""
    workplace.succeed(request_)
    stored = workplace.store.get(f"{KEY}/predictions.json")
    assert stored is not None
    data = request_.data
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(Path(data.root) / data.val))
        evaluation = COCOeval(truth, truth.loadRes(json.loads(stored.data)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(trained.scores[-1].map, abs=1e-3)


@pytest.mark.parametrize(
    ("gain", "words", "doubt"),
    [
        (None, "How certain its gain over that detector is was not measured", ""),
        (
            Gain(difference=0.02, low=0.01, high=0.03),
            "less that detector's is +0.0200, 95 % interval +0.0100 to +0.0300",
            "",
        ),
        (
            Gain(difference=0.01, low=-0.01, high=0.03),
            "less that detector's is +0.0100, 95 % interval -0.0100",
            "cannot be distinguished from that detector",
        ),
        (
            Gain(difference=-0.02, low=-0.03, high=-0.01, images=200, unseen=True),
            "-0.0100, from a paired bootstrap over 200 unseen test images.",
            "it is worse than that detector",
        ),
    ],
)
def test_readme_states_the_gain_and_whether_it_is_certain(
    workplace: Workplace, request_: ExportRequest, gain: Gain | None, words: str, doubt: str
) -> None:
    other = request_.base_weights.model_copy(update={"sha256": "0" * 64})
    readme = model_card(request_.model_copy(update={"base_weights": other, "gain": gain}))
    assert words in readme
    doubts = {"cannot be distinguished from that detector", "it is worse than that detector"}
    assert {one for one in doubts if one in readme} == ({doubt} if doubt else set())


def _texts(workplace: Workplace) -> tuple[dict[str, object], str]:
    """Description and README of the exported folder."""
    stored = [workplace.store.get(f"{KEY}/{name}") for name in ("architecture.json", "README.md")]
    described, readme = (one.data.decode() for one in stored if one is not None)
    return json.loads(described), readme


def test_export_with_another_map_than_recorded_is_not_published(
    workplace: Workplace, request_: ExportRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    off = request_.model_copy(update={"expected_map": request_.expected_map + 0.01})
    assert workplace.run(off) == 1
    assert "the record says" in capsys.readouterr().err
    assert not workplace.has_result(KEY)
    assert not FILES & {key.rpartition("/")[2] for key in workplace.store.list(f"{KEY}/")}


def test_map_recorded_in_the_order_of_the_file_is_accepted(
    workplace: Workplace, request_: ExportRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier versions scored so; here its mAP is one that no order gives."""
    real = found_at

    def found(*arguments: Any, by_shape: bool, **named: Any) -> tuple[Score, list[Detection]]:
        score, detections = real(*arguments, by_shape=by_shape, **named)
        return score if by_shape else score.model_copy(update={"map": 0.75}), detections

    monkeypatch.setattr(export_job, "found_at", found)
    assert workplace.succeed(request_.model_copy(update={"expected_map": 0.75})).map == 0.75


def test_stopped_export_ends_without_a_result(
    workplace: Workplace, request_: ExportRequest
) -> None:
    with stopping():
        assert workplace.run(request_) == 75
    assert not workplace.has_result(KEY)


def _stored(workplace: Workplace, result: ExportResult) -> dict[str, str]:
    """SHA-256 of each stored file that a result names."""
    found = {}
    for name, file in result.files.items():
        stored = workplace.store.get(file.key)
        assert stored is not None
        found[name] = hashlib.sha256(stored.data).hexdigest()
    return found


def _digests(result: ExportResult) -> dict[str, str]:
    return {name: file.sha256 for name, file in result.files.items()}


def test_attempt_that_is_second_replaces_no_file_of_the_first(
    workplace: Workplace, request_: ExportRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that was thought lost ends its job while another attempt is at work."""
    first = workplace.succeed(request_)
    assert isinstance(first, ExportResult)
    workplace.store.delete(keys.result_key(KEY))
    real = model_card

    def after_the_first_has_ended(*arguments: Any) -> str:
        create_record(workplace.store, keys.result_key(KEY), first)
        return real(*arguments) + "\nwritten by the second"

    monkeypatch.setattr(export_job, "model_card", after_the_first_has_ended)
    assert workplace.run(request_) == 0
    assert _stored(workplace, first) == _digests(first)
    kept = load_record(workplace.store, keys.result_key(KEY), ExportResult)
    assert kept == first


def test_attempt_after_one_that_died_while_publishing_names_its_own_files(
    workplace: Workplace, request_: ExportRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = workplace.succeed(request_)
    workplace.store.delete(keys.result_key(KEY))
    monkeypatch.setattr(export_job, "model_card", lambda *_: "another README")
    second = workplace.succeed(request_)
    assert isinstance(second, ExportResult)
    assert second.files["README.md"].sha256 != first.files["README.md"].sha256
    assert _stored(workplace, second) == _digests(second)
    assert not problem_with(workplace.store, KEY, second)
