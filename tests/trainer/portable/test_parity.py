"""Portable files find what mmdet finds: the same boxes in every family, format and head."""

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

import detnas_trainer
from detnas.exported.runtimes import RunFile, open_file
from detnas.records.exports import ExportFormat, FilePrecision
from detnas.records.settings import Resolution
from detnas_trainer.portable import PortableWriter, why_not
from detnas_trainer.portable.network import PortableDetector
from detnas_trainer.portable.suppression import suppress_by_torchvision
from tests.trainer.portable.conftest import Written
from tests.trainer.portable.detectors import DETECTORS, LAST_LAYERS, Case

Opened = Callable[..., RunFile]


def of(*names: str) -> pytest.MarkDecorator:
    """Parametrises a test by cases; one worker does all tests of a case, whose trace is shared."""
    return pytest.mark.parametrize(
        "name",
        [pytest.param(name, marks=pytest.mark.xdist_group(f"portable {name}")) for name in names],
    )


def assert_same(
    found: Sequence[NDArray[Any]], expected: Sequence[Any], tolerance: float = 1e-4
) -> None:
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
def test_network_of_tensors_finds_what_mmdet_finds(name: str) -> None:
    case = Case(name)
    network = PortableDetector(case.detector(), suppress_by_torchvision)
    with torch.inference_mode():
        found = network(case.images, case.sizes)
    assert_same([part.numpy() for part in found], case.by_mmdet())


WRITTEN = ("Basic", "Cascade", "MobileNetV2", "deformable")
"""Every family: the detector with a cascade has bottlenecks, the deformable one is a ResNeXt."""


@pytest.mark.slow
@of(*WRITTEN)
def test_onnx_file_has_the_raw_outputs_of_mmdets_heads(written: Written, name: str) -> None:
    """Logits and deltas of RPN and box heads, before anything is sorted or suppressed."""
    case = Case(name)
    found = raw_outputs(written(case, ExportFormat.ONNX), case)
    expected = case.raw_outputs()
    assert {layer: len(outputs) for layer, outputs in found.items()} == {
        layer: len(outputs) for layer, outputs in expected.items()
    }
    for layer, outputs in expected.items():
        for ours, theirs in zip(found[layer], outputs, strict=True):
            assert ours.shape == tuple(theirs.shape), layer
            error = np.abs(ours - theirs.numpy()).max() / theirs.abs().max()
            assert error <= 1e-4, layer


def raw_outputs(path: Path, case: Case) -> dict[str, list[NDArray[Any]]]:
    """What an ONNX file computes with the weights of the last layers, in the order of the graph."""
    model = onnx.load(path)
    nodes: dict[str, list[str]] = {layer: [] for layer in LAST_LAYERS}
    for node in model.graph.node:
        for layer in LAST_LAYERS:
            if any(f"{layer}." in name for name in node.input[1:]):
                nodes[layer].append(node.output[0])
    wanted = [name for names in nodes.values() for name in names]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    inputs = {"images": case.images.numpy(), "sizes": case.sizes.numpy()}
    outputs = dict(zip(wanted, session.run(wanted, inputs), strict=True))
    return {layer: [outputs[name] for name in names] for layer, names in nodes.items()}


@of(*WRITTEN)
def test_onnx_file_finds_what_mmdet_finds(opened: Opened, name: str) -> None:
    case = Case(name)
    assert_same(case.run(opened(case, ExportFormat.ONNX)), case.by_mmdet())


@pytest.mark.parametrize(
    ("form", "precision"),
    [
        (ExportFormat.ONNX, FilePrecision.FP32),
        (ExportFormat.ONNX, FilePrecision.FP16),
        (ExportFormat.OPENVINO, FilePrecision.FP32),
        (ExportFormat.TORCH, FilePrecision.FP32),
        (ExportFormat.TORCH, FilePrecision.FP16),
    ],
)
@of("Basic")
def test_file_names_no_source_file_of_this_machine(
    written: Written, name: str, form: ExportFormat, precision: FilePrecision
) -> None:
    """Exporters keep a traceback for each node."""
    content = _content(written(Case(name), form, precision))
    packages = [Path(str(module.__file__)).parents[1] for module in (torch, detnas_trainer)]
    for trace in (b"stack_trace", b"line ", *(str(folder).encode() for folder in packages)):
        assert trace not in content


def _content(path: Path) -> bytes:
    """A file's content; a program of torch is an archive."""
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return b"".join(map(archive.read, archive.namelist()))


@of("Basic", "Cascade")
def test_openvino_file_finds_what_mmdet_finds(opened: Opened, name: str) -> None:
    case = Case(name)
    assert_same(case.run(opened(case, ExportFormat.OPENVINO)), case.by_mmdet())


@of("Basic", "deformable")
def test_program_of_torch_finds_what_mmdet_finds(opened: Opened, name: str) -> None:
    case = Case(name)
    assert_same(case.run(opened(case, ExportFormat.TORCH)), case.by_mmdet())


@pytest.mark.parametrize("form", [ExportFormat.ONNX, ExportFormat.OPENVINO, ExportFormat.TORCH])
@of("Basic")
def test_file_takes_one_image_or_several_of_any_size(
    opened: Opened, name: str, form: ExportFormat
) -> None:
    file = opened(Case(name), form)
    for count, height, width in ((1, 96, 128), (3, 160, 96)):
        images = np.zeros((count, 3, height, width), np.uint8)
        found = file(images, np.full((count, 2), 64, np.float32))
        assert found.boxes.shape == (count, 100, 4)
        assert found.scores.shape == found.labels.shape == (count, 100)


@of("Basic")
def test_pixels_outside_of_an_image_change_nothing(opened: Opened, name: str) -> None:
    case = Case(name)
    file = opened(case, ExportFormat.ONNX)
    before = case.run(file)
    case.images[0, :, :, 140:] = 200
    case.images[1, :, 70:] = 7
    after = case.run(file)
    assert np.array_equal(before.scores, after.scores)
    assert np.array_equal(before.boxes, after.boxes)


SMALLER = {
    (ExportFormat.ONNX, FilePrecision.FP16): 0.02,
    (ExportFormat.ONNX, FilePrecision.INT8): 0.2,
    (ExportFormat.OPENVINO, FilePrecision.FP16): 0.02,
    (ExportFormat.OPENVINO, FilePrecision.INT8): 0.2,
    (ExportFormat.TORCH, FilePrecision.FP16): 0.02,
}
"""How far scores may be off: weights at random are far more sensitive than trained ones."""


@pytest.mark.parametrize(("form", "precision"), SMALLER)
@of("Basic")
def test_smaller_precisions_find_similar_scores(
    opened: Opened, name: str, form: ExportFormat, precision: FilePrecision
) -> None:
    case = Case(name)
    found = case.run(opened(case, form, precision))
    for scores, theirs in zip(found.scores, case.by_mmdet(), strict=True):
        off = SMALLER[form, precision]
        assert scores[:5] == pytest.approx(theirs.scores[:5].numpy(), abs=off)


@of("Basic")
def test_boxes_of_sixteen_bits_are_computed_in_32(opened: Opened, name: str) -> None:
    """In 16 bits they would be off by up to an eighth of a pixel, and in large images by one."""
    case = Case(name)
    found = case.run(opened(case, ExportFormat.ONNX, FilePrecision.FP16))
    whole = case.run(opened(case, ExportFormat.ONNX))
    assert (found.labels[:, :5] == whole.labels[:, :5]).all()
    assert np.abs(found.boxes[:, :5] - whole.boxes[:, :5]).max() < 0.05


@of("MobileNetV2", "Cascade", "deformable")
def test_sixteen_bits_are_enough_for_every_kind_of_layer(opened: Opened, name: str) -> None:
    case = Case(name)
    found = case.run(opened(case, ExportFormat.ONNX, FilePrecision.FP16))
    for scores, theirs in zip(found.scores, case.by_mmdet(), strict=True):
        assert scores[:5] == pytest.approx(theirs.scores[:5].numpy(), abs=0.02)


@pytest.mark.parametrize("form", [ExportFormat.ONNX, ExportFormat.TORCH])
@of("Basic")
def test_sixteen_bits_halve_a_file(written: Written, name: str, form: ExportFormat) -> None:
    case = Case(name)
    whole, half = (
        written(case, form, precision).stat().st_size
        for precision in (FilePrecision.FP32, FilePrecision.FP16)
    )
    weights = sum(value.numel() for value in case.state.values())
    assert whole - half > 1.8 * weights, "two of four bytes of each weight"


@pytest.mark.parametrize("form", [ExportFormat.ONNX, ExportFormat.OPENVINO, ExportFormat.TORCH])
def test_file_of_a_fixed_shape_finds_what_mmdet_finds(
    fixed: PortableWriter, form: ExportFormat
) -> None:
    case = Case("Basic")
    file = open_file(fixed.write(form, FilePrecision.FP32), form)
    (image,), size = case.images[:1].numpy(), case.sizes[:1].numpy()
    assert_same(file(image[None], size), case.by_mmdet()[:1])


def test_onnx_file_of_a_fixed_shape_states_it(fixed: PortableWriter) -> None:
    model = onnx.load(fixed.write(ExportFormat.ONNX, FilePrecision.FP32))
    shapes = {
        one.name: [side.dim_value for side in one.type.tensor_type.shape.dim]
        for one in model.graph.input
    }
    assert shapes == {"images": [1, 3, 80, 144], "sizes": [1, 2]}


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> PortableWriter:
    """Writes files that take one image of 80 × 144."""
    folder = tmp_path_factory.mktemp("fixed")
    writer = Case("Basic").writer(folder)
    return replace(writer, resolution=Resolution(width=144, height=80), fixed_shape=True)


def test_score_threshold_is_that_of_the_detector() -> None:
    case = Case("Basic")
    boxes = case.shape.boxes.model_copy(update={"score_threshold": Decimal("0.3")})
    case.shape = case.shape.model_copy(update={"boxes": boxes})
    network = PortableDetector(case.detector(), suppress_by_torchvision)
    with torch.inference_mode():
        _, scores, _ = network(case.images, case.sizes)
    assert scores[scores > 0].min() > 0.3


def test_deformable_convolutions_are_refused_for_openvino_by_name() -> None:
    architecture, _ = DETECTORS["deformable"]
    assert "DeformConv" in why_not(ExportFormat.OPENVINO, architecture)
    assert not why_not(ExportFormat.ONNX, architecture)
