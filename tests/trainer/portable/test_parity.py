"""Portable files find what mmdet finds: the same boxes in every family, format and head."""

from decimal import Decimal

import numpy as np
import pytest
import torch

from detnas.architecture import Family, parse
from detnas.records.exports import ExportFormat, FilePrecision
from detnas.records.settings import DetectorShape, DetectorVariant, HeadKind, Resolution
from detnas_trainer.detector import build_detector, load_detector
from detnas_trainer.openmmlab import DetDataSample
from detnas_trainer.portable import PortableWriter, file_name, why_not
from detnas_trainer.portable.network import PortableDetector
from detnas_trainer.portable.suppression import suppress_by_torchvision

from detnas.exported.runtimes import open_file  # isort: skip - after mmdet's stand-in

SHAPE = DetectorShape(neck=16, fc=32, proposals=60, pad_divisor=16)
PAIRS = "[(8, 8)-(8, 8)], [(12, 12)], [(12, 16)], [(16, 16)]"
TRIPLES = "[(8, 8, 16)-(8, 8, 16)], [(8, 8, 24)], [(8, 8, 24)], [(16, 16, 32)]"
GROUPED = "[(8, 8, 16)-(8, 8, 16)], [(8, 8, 24)], [(16, 16, 24)], [(32, 32, 32)]"
DETECTORS = {
    "Basic": (parse(PAIRS, Family.BASIC, 8), SHAPE),
    "Bottleneck": (parse(TRIPLES, Family.BOTTLENECK, 8), SHAPE),
    "ResNeXt": (parse(GROUPED, Family.RESNEXT, 8, group_width=4), SHAPE),
    "MobileNetV2": (parse(PAIRS, Family.MOBILENET_V2, 8), SHAPE),
    "Cascade": (
        parse(PAIRS, Family.BASIC, 8),
        SHAPE.model_copy(update={"head": HeadKind.CASCADE, "variant": DetectorVariant.TORCHVISION}),
    ),
    "deformable": (
        parse(GROUPED, Family.RESNEXT, 8, group_width=4).model_copy(update={"deformable": (3, 4)}),
        SHAPE,
    ),
}
CLASSES = 3
SIZES = ((80, 140), (70, 144))
"""Of the images in a batch of 80 × 144, whose levels have odd sides."""


class Case:
    """A detector of random weights that finds many boxes, and two images."""

    def __init__(self, name):
        self.name = name
        self.architecture, self.shape = DETECTORS[name]
        draw = torch.manual_seed(3)  # the detector's own draws, too
        built = build_detector(self.architecture, self.shape, CLASSES)
        self.state = {
            key: value + 0.05 * torch.randn(value.shape, generator=draw)
            if value.dim() > 1
            else value
            for key, value in built.state_dict().items()
        }
        self.images = torch.randint(0, 256, (2, 3, 80, 144), dtype=torch.uint8, generator=draw)
        self.sizes = torch.tensor(SIZES, dtype=torch.float32)

    def detector(self):
        return load_detector(self.architecture, self.shape, CLASSES, self.state).eval()

    def by_mmdet(self):
        """Boxes, scores and labels of each image, best first."""
        samples = []
        for number, size in enumerate(SIZES):
            sample = DetDataSample()
            sample.set_metainfo(
                {"img_shape": size, "ori_shape": size, "scale_factor": (1.0, 1.0), "img_id": number}
            )
            samples.append(sample)
        inputs = [
            image[:, :height, :width].flip(0)
            for image, (height, width) in zip(self.images, SIZES, strict=True)
        ]
        with torch.inference_mode():
            found = self.detector().test_step({"inputs": inputs, "data_samples": samples})
        return [one.pred_instances for one in found]

    def run(self, file):
        return file(self.images.numpy(), self.sizes.numpy())

    def writer(self, folder):
        scratch = folder / "scratch"
        scratch.mkdir(parents=True)
        inputs = [
            {"images": image[None].numpy(), "sizes": size[None].numpy()}
            for image, size in zip(self.images, self.sizes, strict=True)
        ]
        size = Resolution(width=64, height=48)  # smaller than what is traced
        return PortableWriter(self.detector, size, folder, scratch, lambda: inputs)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Opens a case's file; what several need is written once."""
    root, writers = tmp_path_factory.mktemp("portable"), {}

    def open_one(case, form, precision=FilePrecision.FP32):
        if case.name not in writers:
            writers[case.name] = case.writer(root / case.name)
        writer = writers[case.name]
        path = writer.folder / file_name(form, precision)
        return open_file(path if path.exists() else writer.write(form, precision), form)

    return open_one


def assert_same(found, expected, tolerance=1e-4):
    """Each image has the same boxes; scores differ by less than 1e-4 of themselves."""
    for boxes, scores, labels, theirs in zip(*found, expected, strict=True):
        count = int((scores > 0).sum())
        assert count == len(theirs.scores) > 5
        assert np.asarray(scores[:count]) == pytest.approx(theirs.scores.numpy(), rel=tolerance)
        assert (np.asarray(labels[:count]) == theirs.labels.numpy()).mean() > 0.95  # ties
        same = np.asarray(labels[:count]) == theirs.labels.numpy()
        assert np.asarray(boxes[:count])[same] == pytest.approx(
            theirs.bboxes.numpy()[same], abs=0.02
        )


@pytest.mark.parametrize("name", DETECTORS)
def test_network_of_tensors_finds_what_mmdet_finds(name):
    case = Case(name)
    network = PortableDetector(case.detector(), suppress_by_torchvision)
    with torch.inference_mode():
        found = network(case.images, case.sizes)
    assert_same([part.numpy() for part in found], case.by_mmdet())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Basic", "MobileNetV2", "Cascade", "deformable"])
def test_onnx_file_finds_what_mmdet_finds(opened, name):
    case = Case(name)
    assert_same(case.run(opened(case, ExportFormat.ONNX)), case.by_mmdet())


@pytest.mark.parametrize("name", ["Basic", "Cascade"])
def test_openvino_file_finds_what_mmdet_finds(opened, name):
    case = Case(name)
    assert_same(case.run(opened(case, ExportFormat.OPENVINO)), case.by_mmdet())


def test_program_of_torch_finds_what_mmdet_finds(opened):
    case = Case("Basic")
    assert_same(case.run(opened(case, ExportFormat.TORCH)), case.by_mmdet())


@pytest.mark.parametrize("form", [ExportFormat.ONNX, ExportFormat.OPENVINO, ExportFormat.TORCH])
def test_file_takes_one_image_or_several_of_any_size(opened, form):
    file = opened(Case("Basic"), form)
    for count, height, width in ((1, 96, 128), (3, 160, 96)):
        images = np.zeros((count, 3, height, width), np.uint8)
        found = file(images, np.full((count, 2), 64, np.float32))
        assert found.boxes.shape == (count, 100, 4)
        assert found.scores.shape == found.labels.shape == (count, 100)


def test_pixels_outside_of_an_image_change_nothing(opened):
    case = Case("Basic")
    file = opened(case, ExportFormat.ONNX)
    before = case.run(file)
    case.images[0, :, :, 140:] = 200
    case.images[1, :, 70:] = 7
    after = case.run(file)
    assert np.array_equal(before.scores, after.scores)
    assert np.array_equal(before.boxes, after.boxes)


SMALLER = {FilePrecision.FP16: 0.02, FilePrecision.INT8: 0.2}
"""How far scores may be off: weights at random are far more sensitive than trained ones."""


@pytest.mark.parametrize("precision", SMALLER)
@pytest.mark.parametrize("form", [ExportFormat.ONNX, ExportFormat.OPENVINO])
def test_smaller_precisions_find_similar_scores(opened, form, precision):
    case = Case("Basic")
    found = case.run(opened(case, form, precision))
    for scores, theirs in zip(found.scores, case.by_mmdet(), strict=True):
        assert scores[:5] == pytest.approx(theirs.scores[:5].numpy(), abs=SMALLER[precision])


def test_score_threshold_is_that_of_the_detector():
    case = Case("Basic")
    boxes = case.shape.boxes.model_copy(update={"score_threshold": Decimal("0.3")})
    case.shape = case.shape.model_copy(update={"boxes": boxes})
    network = PortableDetector(case.detector(), suppress_by_torchvision)
    with torch.inference_mode():
        _, scores, _ = network(case.images, case.sizes)
    assert scores[scores > 0].min() > 0.3


def test_deformable_convolutions_are_refused_for_openvino_by_name():
    architecture, _ = DETECTORS["deformable"]
    assert "DeformConv" in why_not(ExportFormat.OPENVINO, architecture)
    assert not why_not(ExportFormat.ONNX, architecture)
