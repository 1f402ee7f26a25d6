"""An exported file as a detector, with real onnxruntime and a network of a few nodes."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from detnas import optional_imports
from detnas.errors import UserError
from detnas.exported import (
    ExportedDetector,
    ExportedFile,
    ExportFormat,
    FolderDescription,
    InputForm,
    load_description,
    prepare,
    preparing,
    read_coco,
    read_image,
    save_description,
    score_detections,
)
from detnas.exported.measuring import Measured, Measuring

FORM = InputForm(long_side=96, short_side=64)
ONNX = ExportedFile(path="detector.onnx", format=ExportFormat.ONNX)


def write_folder(folder, **changes):
    """A folder whose detector finds one box in each image: the left half of it."""
    constants = {
        "left_half": np.array([[0, 0, 0.5, 1]], np.float32),
        "order": np.array([1, 0, 1, 0]),
        "one": np.array([1]),
        "score": np.array([[0.75, 0]], np.float32),
        "label": np.array([[1, 0]]),
        "twice": np.array([1, 2, 1]),
        "zero": np.array([0]),
    }
    nodes = [
        helper.make_node("Gather", ["sizes", "order"], ["sides"], axis=1),
        helper.make_node("Mul", ["sides", "left_half"], ["box"]),
        helper.make_node("Unsqueeze", ["box", "one"], ["boxes_1"]),
        helper.make_node("Tile", ["boxes_1", "twice"], ["boxes"]),
        helper.make_node("Shape", ["sizes"], ["count"], start=0, end=1),
        helper.make_node("Concat", ["count", "one"], ["repeats"], axis=0),
        helper.make_node("Tile", ["score", "repeats"], ["scores"]),
        helper.make_node("Tile", ["label", "repeats"], ["labels"]),
    ]
    graph = helper.make_graph(
        nodes,
        "detector",
        [
            helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 3, "h", "w"]),
            helper.make_tensor_value_info("sizes", TensorProto.FLOAT, ["n", 2]),
        ],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["n", 2, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 2]),
            helper.make_tensor_value_info("labels", TensorProto.INT64, ["n", 2]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / "detector.onnx")
    description = FolderDescription(
        classes=("cat", "dog"), input=FORM, files=(ONNX.model_copy(update=changes),)
    )
    save_description(folder, description)
    return folder / "detector.onnx"


def image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_detector_returns_boxes_in_pixels_of_each_original_image(tmp_path):
    detector = ExportedDetector.load(write_folder(tmp_path))
    wide, tall = detector.detect([image(400, 600), image(300, 100)])
    assert wide.boxes.tolist() == [[0, 0, 300, 400]]
    assert tall.boxes == pytest.approx(np.array([[0, 0, 50, 300]]))
    assert (wide.scores.tolist(), wide.labels.tolist()) == ([0.75], [1])


def test_detector_of_batch_one_refuses_two_images(tmp_path):
    detector = ExportedDetector.load(write_folder(tmp_path, batch=1))
    with pytest.raises(UserError, match="takes 1 image at once, not 2"):
        detector.detect([image(40, 40), image(40, 40)])


def test_missing_description_is_named(tmp_path):
    path = write_folder(tmp_path)
    (tmp_path / "detector.json").unlink()
    with pytest.raises(UserError, match="has no detector.json"):
        ExportedDetector.load(path)


def test_file_that_the_description_lacks_is_named(tmp_path):
    write_folder(tmp_path).rename(tmp_path / "other.onnx")
    with pytest.raises(UserError, match=r"no file 'other.onnx'; it describes: detector.onnx"):
        ExportedDetector.load(tmp_path / "other.onnx")


def test_missing_runtime_names_the_extra(tmp_path, monkeypatch):
    path = write_folder(tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"onnxruntime, which is not installed.*detnas\[export\]"):
        ExportedDetector.load(path)


def test_description_is_read_as_it_was_written(tmp_path):
    write_folder(tmp_path, map=0.5, remark="mAP falls by 0.02")
    description = load_description(tmp_path)
    assert description.files[0].remark == "mAP falls by 0.02"
    assert description.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("shape", "size", "padded"),
    [
        ((400, 600), (64, 96), (64, 96)),
        ((600, 400), (96, 64), (96, 64)),  # upright, as mmdet has it
        ((300, 300), (64, 64), (64, 64)),
        ((100, 500), (19, 96), (32, 96)),
    ],
)
def test_prepared_image_has_the_size_that_mmdet_gives_it(shape, size, padded):
    prepared = prepare(image(*shape), FORM, ONNX)
    assert prepared.size == size
    assert prepared.pixels.shape == (3, *padded)
    assert not prepared.pixels[:, size[0] :].any()
    assert not prepared.pixels[:, :, size[1] :].any()


def test_upright_image_fits_into_a_file_of_one_size():
    fixed = ONNX.model_copy(update={"height": 64, "width": 96})
    prepared = prepare(image(600, 400), FORM, fixed)
    assert (prepared.size, prepared.pixels.shape) == ((64, 43), (3, 64, 96))


def without_opencv(monkeypatch):
    found = optional_imports.find_module
    monkeypatch.setattr(
        preparing, "find_module", lambda name: None if name == "cv2" else found(name)
    )


@pytest.mark.parametrize("shape", [(40, 60), (400, 607), (333, 90)])
def test_pillow_resizes_as_opencv_does(monkeypatch, shape):
    smooth = np.indices(shape).sum(axis=0, dtype=np.uint16)[:, :, None] % 200
    picture = (smooth + np.array([0, 20, 40])).astype(np.uint8)
    by_opencv = prepare(picture, FORM, ONNX).pixels.astype(int)
    without_opencv(monkeypatch)
    by_pillow = prepare(picture, FORM, ONNX).pixels.astype(int)
    assert np.abs(by_opencv - by_pillow).max() <= 2


def test_image_is_red_green_blue_with_either_decoder(tmp_path, monkeypatch):
    from PIL import Image

    path = tmp_path / "red.png"
    Image.new("RGB", (8, 4), (250, 20, 10)).save(path)
    assert read_image(path)[0, 0].tolist() == [250, 20, 10]
    without_opencv(monkeypatch)
    assert read_image(path)[0, 0].tolist() == [250, 20, 10]


@pytest.mark.parametrize("content", [b"", b"no image"])
@pytest.mark.parametrize("decoder", ["OpenCV", "Pillow"])
def test_file_that_is_no_image_is_named(tmp_path, monkeypatch, content, decoder):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    if decoder == "Pillow":
        without_opencv(monkeypatch)
    with pytest.raises(UserError, match=r"broken\.png cannot be read"):
        read_image(path)


def annotate(folder):
    """Two images; the detector's box is right in the first, and half as wide in the second."""
    content = {
        "images": [
            {"id": 7, "file_name": "a.png", "width": 60, "height": 40},
            {"id": 9, "file_name": "b.png", "width": 60, "height": 40},
        ],
        "categories": [{"id": 5, "name": "dog"}, {"id": 2, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 5, "bbox": [0, 0, 30, 40], "area": 1200,
             "iscrowd": 0},
            {"id": 2, "image_id": 9, "category_id": 5, "bbox": [0, 0, 60, 40], "area": 2400,
             "iscrowd": 0},
        ],
    }  # fmt: skip
    (folder / "val.json").write_text(json.dumps(content))
    return read_coco(folder / "val.json", folder, ("cat", "dog"))


@pytest.mark.parametrize("evaluator", ["faster_coco_eval", "pycocotools"])
def test_map_is_of_the_images_that_were_scored(tmp_path, monkeypatch, evaluator):
    if evaluator == "pycocotools":
        monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    detector = ExportedDetector.load(write_folder(tmp_path))
    coco = annotate(tmp_path)
    (found,) = detector.detect([image(40, 60)])
    assert score_detections({7: found}, coco).map == pytest.approx(1)
    both = score_detections({7: found, 9: found}, coco)
    assert both.map == pytest.approx(0.1 + 0.9 * 51 / 101, abs=1e-6)


def test_annotations_without_a_class_of_the_detector_are_refused(tmp_path):
    annotate(tmp_path)
    with pytest.raises(UserError, match="no category 'bird'"):
        read_coco(tmp_path / "val.json", tmp_path, ("cat", "bird"))


def test_missing_evaluator_names_the_extra(tmp_path, monkeypatch):
    coco = annotate(tmp_path)
    (found,) = ExportedDetector.load(write_folder(tmp_path)).detect([image(40, 60)])
    for name in ("faster_coco_eval", "pycocotools.coco"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=r"detnas\[export\]"):
        score_detections({7: found}, coco)


def test_process_of_its_own_measures_a_file(tmp_path):
    from PIL import Image

    annotate(tmp_path)
    path = write_folder(tmp_path)
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    Image.new("RGB", (60, 50)).save(tmp_path / "b.png")
    command = [sys.executable, "-m", "detnas.exported.measuring", path, "--annotations"]
    options = [tmp_path / "val.json", "--images", tmp_path, "--to", tmp_path / "measured.json"]
    done = subprocess.run([*command, *options], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["1", "2", "scored"]
    measured = Measured.model_validate_json((tmp_path / "measured.json").read_bytes())
    (file,) = measured.files.values()
    assert [one["image_id"] for one in file.detections] == [7, 9]
    assert file.detections[0]["bbox"] == pytest.approx([0, 0, 30, 40])
    assert file.latency is not None
    assert 0 < file.latency.median <= file.latency.p90


def test_file_that_does_not_run_stops_no_other_of_its_process(tmp_path):
    from PIL import Image

    coco = annotate(tmp_path)
    whole = write_folder(tmp_path)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (60, 40)).save(tmp_path / name)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    files = (ONNX, ONNX.model_copy(update={"path": broken.name}))
    save_description(tmp_path, load_description(tmp_path).model_copy(update={"files": files}))
    measuring = Measuring([whole, broken], threads=1)
    assert [*measuring.detect(coco)] == [2]
    measuring.time([image(40, 60)])
    found = measuring.measured(coco).files
    assert (len(found["detector.onnx"].detections), found["detector.onnx"].failure) == (2, "")
    assert found["broken.onnx"].failure
    assert found["broken.onnx"].latency is None


@pytest.mark.parametrize("batch", [None, 1])
def test_small_images_of_one_size_are_scored_together_where_a_file_takes_several(tmp_path, batch):
    from PIL import Image

    coco = annotate(tmp_path)
    path = write_folder(tmp_path, batch=batch)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (60, 40)).save(tmp_path / name)
    measuring = Measuring([path], threads=1)
    assert [*measuring.detect(coco)] == [2]
    measuring.time([image(40, 60)])
    (found,) = measuring.measured(coco).files.values()
    assert found.failure == ""
    assert [one["image_id"] for one in found.detections] == [7, 9]


def test_process_without_whoever_started_it_times_nothing(tmp_path):
    from PIL import Image

    annotate(tmp_path)
    path = write_folder(tmp_path)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (60, 40)).save(tmp_path / name)
    command = [sys.executable, "-m", "detnas.exported.measuring", path, "--wait", "--annotations"]
    options = [tmp_path / "val.json", "--images", tmp_path, "--to", tmp_path / "measured.json"]
    done = subprocess.run(
        [*command, *options], stdin=subprocess.DEVNULL, check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "has ended" in done.stderr
    assert not (tmp_path / "measured.json").exists()


def test_runtime_imports_neither_torch_nor_mmdet(tmp_path):
    path = write_folder(tmp_path)
    code = (
        "import sys; from pathlib import Path; from detnas.exported import ExportedDetector;"
        f"ExportedDetector.load(Path({str(path)!r}));"
        "print('torch' in sys.modules, 'mmdet' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"]
