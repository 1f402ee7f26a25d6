"""The export job's files beside mmdet's folder: written, scored in processes of their own."""

import contextlib
import io
import json
from decimal import Decimal
from pathlib import Path

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detnas.exported import load_description
from detnas.exported.measuring import MeasuredFile
from detnas.records.exports import ExportFormat, ExportSettings, FileLatency, FilePrecision
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


LATENCY = FileLatency(median=1.0, p90=2.0, runs=1, threads=1, device="x")


class FindsNothing:
    """A process whose files find nothing in any image."""

    def __init__(self, files, on):
        self.name = files[0].name

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def follow(self, progressed):
        progressed(1)

    def measured(self, progress):
        return {self.name: MeasuredFile(latency=LATENCY)}


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
        assert file.images == 6
        assert file.difference == pytest.approx(file.map - result.map)
        assert file.difference_error is not None
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


def test_file_that_does_not_run_is_marked_without_its_runtimes_words(
    workplace, monkeypatch, tmp_path
):
    """These name folders of the machine, and the folder may be published."""

    def write(writer, form, precision):
        path = writer.folder / "detector.onnx"
        path.write_bytes(b"no model")
        return path

    monkeypatch.setattr(PortableWriter, "write", write)
    result = workplace.succeed(request_of(workplace, formats=(ExportFormat.ONNX,)))
    file = result.exported[1]
    assert file.map is None
    assert file.remark.startswith("it does not run in onnxruntime on the machine that exported it")
    assert f"detector.onnx: {file.remark}: " in result.message
    assert "detector.onnx failed" in result.message
    assert "/" not in result.message
    published = {
        name: (tmp_path / "store" / one.key).read_bytes() for name, one in result.files.items()
    }
    readme = published["README.md"].decode()
    assert "not measured" in readme
    assert file.remark in readme
    for name, content in published.items():
        for word in (str(tmp_path), "Traceback", "site-packages", "Load model"):
            assert word.encode() not in content, name


@pytest.mark.parametrize(("limit", "scored"), [(4, 4), (6, 6), (1000, 6)])
def test_file_is_compared_with_mmdets_detector_on_the_images_it_was_scored_on(
    workplace, monkeypatch, tmp_path, limit, scored
):
    def write(writer, form, precision):
        path = writer.folder / "detector.onnx"
        path.write_bytes(b"a model")
        return path

    monkeypatch.setattr(PortableWriter, "write", write)
    monkeypatch.setattr(portable_files, "MeasuringProcess", FindsNothing)
    request = request_of(workplace, formats=(ExportFormat.ONNX,), scored_images=limit)
    file = workplace.succeed(request).exported[1]
    assert (file.images, file.map) == (scored, 0)
    location = workplace.common["data"]
    truth = json.loads((Path(location.root) / location.val).read_text())
    predicted = json.loads((tmp_path / "store" / KEY / "predictions.json").read_text())
    ids = [one["id"] for one in truth["images"]]
    drawn = [ids[rank * len(ids) // scored] for rank in range(scored)]
    assert file.difference == pytest.approx(-map_of(truth, predicted, drawn), abs=1e-6)
    readme = (tmp_path / "store" / KEY / "README.md").read_text()
    assert f"itself on {scored} validation" in readme


def map_of(truth, predicted, ids):
    """COCO's mAP on some images, by pycocotools."""
    with contextlib.redirect_stdout(io.StringIO()):
        index = COCO()
        index.dataset = truth
        index.createIndex()
        evaluation = COCOeval(index, index.loadRes(predicted), "bbox")
        evaluation.params.imgIds = ids
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[0]


def test_file_that_finds_nothing_is_kept_and_marked_everywhere(workplace, monkeypatch, tmp_path):
    def write(writer, form, precision):
        path = writer.folder / "detector.onnx"
        path.write_bytes(b"a model")
        return path

    monkeypatch.setattr(PortableWriter, "write", write)
    monkeypatch.setattr(portable_files, "MeasuringProcess", FindsNothing)
    request = request_of(workplace, formats=(ExportFormat.ONNX,), tolerance=Decimal("0.001"))
    assert request.expected_map > 0.001
    result = workplace.succeed(request)
    marked = f"its mAP is {request.expected_map:.4f} below the detector's, more than 0.001"
    assert result.exported[1].remark == marked
    assert marked in result.message
    folder = tmp_path / "store" / KEY
    assert json.loads((folder / "detector.json").read_text())["files"][1]["remark"] == marked
    assert marked in (folder / "README.md").read_text()
