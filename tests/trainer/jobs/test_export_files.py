"""The export job's files beside mmdet's folder: written, scored in processes of their own."""

import json
from decimal import Decimal

import pytest

from detnas.exported import load_description
from detnas.exported.measuring import Measured
from detnas.records.exports import ExportFormat, ExportSettings, FilePrecision
from detnas_trainer.jobs.verbs import portable_files
from detnas_trainer.portable import PortableWriter
from tests.trainer.conftest import training

KEY = "local/a/exports/best-0123abcd"
FILES = {"detector.onnx", "detector-int8.onnx"}
IR = {f"detector{precision}.{end}" for precision in ("", "-int8") for end in ("xml", "bin")}


def request_of(workplace, **settings):
    trained = workplace.succeed(workplace.base_request("local/a/base", training=training(8)))
    best = trained.scores[-1]
    return workplace.export_request(
        KEY,
        weights=trained.weights,
        resolution=best.resolution,
        expected_map=best.map,
        base_weights=trained.weights,
        base_resolution=best.resolution,
        files=ExportSettings(**settings),
    )


@pytest.mark.slow
def test_each_file_is_published_with_the_map_that_it_reaches_itself(workplace, tmp_path):
    formats = (ExportFormat.ONNX, ExportFormat.OPENVINO)
    precisions = (FilePrecision.FP32, FilePrecision.INT8)
    request = request_of(workplace, formats=formats, precisions=precisions, calibration_images=4)
    result = workplace.succeed(request)
    assert {*FILES, *IR, "detector.json", "detector.pth"} <= set(result.files)
    mmdet, *others = result.exported
    assert (mmdet.path, mmdet.map) == ("detector.pth", result.map)
    assert [one.precision for one in others] == [*precisions, *precisions]
    for file in others:
        assert file.latency is not None
        assert file.latency.median > 0
        if file.precision is FilePrecision.FP32:
            assert file.map == pytest.approx(result.map, abs=1e-3)
    folder = tmp_path / "store" / KEY
    assert load_description(folder).files == result.exported
    assert load_description(folder).input.long_side == 64
    readme = (folder / "README.md").read_text()
    assert all(f"| `{file.path}` | {file.format} |" in readme for file in result.exported)


def test_file_that_cannot_be_written_is_named_and_loses_nothing_else(workplace, monkeypatch):
    def fail(*_):
        raise RuntimeError("an operator is unknown")

    monkeypatch.setattr(PortableWriter, "write", fail)
    result = workplace.succeed(request_of(workplace, formats=(ExportFormat.ONNX,)))
    assert "detector.onnx is not written: RuntimeError: an operator is un" in result.message
    assert [file.path for file in result.exported] == ["detector.pth"]


def test_file_that_does_not_run_is_marked(workplace, monkeypatch):
    def write(writer, form, precision):
        path = writer.folder / "detector.onnx"
        path.write_bytes(b"no model")
        return path

    monkeypatch.setattr(PortableWriter, "write", write)
    result = workplace.succeed(request_of(workplace, formats=(ExportFormat.ONNX,)))
    file = result.exported[1]
    assert file.map is None
    assert "does not run by itself" in file.remark
    assert file.remark in result.message
    readme = workplace.store.get(f"{KEY}/README.md").data.decode()
    assert "not measured" in readme


def test_file_that_finds_nothing_is_kept_and_marked_everywhere(workplace, monkeypatch, tmp_path):
    def write(writer, form, precision):
        path = writer.folder / "detector.onnx"
        path.write_bytes(b"a model")
        return path

    latency = {"median": 1.0, "p90": 2.0, "runs": 1, "threads": 1, "device": "x"}
    nothing = Measured.model_validate({"detections": [], "latency": latency})
    monkeypatch.setattr(PortableWriter, "write", write)
    monkeypatch.setattr(portable_files, "_measure", lambda *_: nothing)
    request = request_of(workplace, formats=(ExportFormat.ONNX,), tolerance=Decimal("0.001"))
    assert request.expected_map > 0.001
    result = workplace.succeed(request)
    marked = f"its mAP is {request.expected_map:.4f} below the detector's, more than 0.001"
    assert result.exported[1].remark == marked
    assert marked in result.message
    folder = tmp_path / "store" / KEY
    assert json.loads((folder / "detector.json").read_text())["files"][1]["remark"] == marked
    assert marked in (folder / "README.md").read_text()
