"""torchvision's operators in mmcv's place: what they compute, and what is said of missing ones.

Where a compiled mmcv lies beside the checkout, every operator is compared with it. Elsewhere the
same operators are compared with plain references.
"""

import importlib.machinery
import importlib.util
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from mmcv.ops import DeformConv2d, ModulatedDeformConv2d, RoIAlign, batched_nms, nms, soft_nms
from torch import Tensor, nn

from detnas_trainer import mmcv_ext

WHEELS = Path(__file__).parents[3] / "shared" / "wheels"
STAND_IN = mmcv_ext._StandIn()


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """mmcv's own compiled operators, from a wheel that fits this Python."""
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    for wheel in WHEELS.glob("onedl_mmcv-*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            if f"mmcv/_ext{suffix}" not in archive.namelist():
                continue
            file = archive.extract(f"mmcv/_ext{suffix}", tmp_path_factory.mktemp("mmcv"))
        spec = importlib.util.spec_from_file_location("_ext", file)
        assert spec is not None
        assert spec.loader is not None
        try:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        except ImportError as error:
            pytest.skip(f"{wheel.name} does not load beside torch {torch.__version__}: {error}")
        return module
    pytest.skip(f"no compiled mmcv for this Python in {WHEELS.name}")


def _boxes(count: int, generator: torch.Generator) -> Tensor:
    corners = torch.rand(count, 2, generator=generator) * 80
    return torch.cat([corners, corners + torch.rand(count, 2, generator=generator) * 40], dim=1)


def _random(*shape: int, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator)


def _nms(ext: Any, generator: torch.Generator) -> list[Tensor]:
    found = []
    for count, offset, threshold in ((0, 0, 0.5), (1, 1, 0.5), (200, 0, 0.3), (200, 1, 0.7)):
        boxes, scores = _boxes(count, generator), torch.rand(count, generator=generator)
        found.append(ext.nms(boxes, scores, iou_threshold=threshold, offset=offset))
    return found


def _soft_nms(ext: Any, generator: torch.Generator) -> list[Tensor]:
    found = []
    for count in (0, 1, 120):
        for method, offset in ((0, 0), (1, 0), (1, 1), (2, 0)):
            boxes, scores = _boxes(count, generator), torch.rand(count, generator=generator)
            dets = torch.zeros(count, 5)
            settings = {"iou_threshold": 0.3, "sigma": 0.5, "min_score": 0.05}
            kept = ext.softnms(boxes, scores, dets, **settings, method=method, offset=offset)
            found += [kept, dets[: len(kept)]]
    return found


def _roi_align(ext: Any, generator: torch.Generator) -> list[Tensor]:
    found = []
    for count, sampling, aligned in ((0, 0, True), (17, 0, True), (17, 2, True), (5, 2, False)):
        features = _random(2, 3, 14, 11, generator=generator)
        which = torch.randint(2, (count, 1), generator=generator).float()
        rois = torch.cat([which, _boxes(count, generator)], dim=1)
        output, nothing = torch.zeros(count, 3, 7, 7), torch.zeros(0)
        form = {"aligned_height": 7, "aligned_width": 7, "spatial_scale": 0.125}
        form |= {"sampling_ratio": sampling, "pool_mode": 1, "aligned": aligned}
        ext.roi_align_forward(features, rois, output, nothing, nothing, **form)
        gradient = torch.zeros_like(features)
        incoming = _random(*output.shape, generator=generator)
        ext.roi_align_backward(incoming, rois, nothing, nothing, gradient, **form)
        found += [output, gradient]
    return found


def _deform_conv(ext: Any, generator: torch.Generator) -> list[Tensor]:
    found = []
    for batch, groups, offset_groups, stride in ((1, 1, 1, 1), (4, 2, 2, 2)):
        draw = partial(_random, generator=generator)
        features, weight = draw(batch, 4, 9, 8), draw(6, 4 // groups, 3, 3)
        height, width = (9 - 1) // stride + 1, (8 - 1) // stride + 1
        offset = draw(batch, 2 * 9 * offset_groups, height, width)
        output, incoming = torch.zeros(batch, 6, height, width), draw(batch, 6, height, width)
        form = {"kW": 3, "kH": 3, "dW": stride, "dH": stride, "padW": 1, "padH": 1}
        form |= {"dilationW": 1, "dilationH": 1, "group": groups, "deformable_group": offset_groups}
        form |= {"im2col_step": batch}
        buffers = [torch.zeros(0), torch.zeros(0)]
        ext.deform_conv_forward(features, weight, offset, output, *buffers, **form)
        gradients = [torch.zeros_like(one) for one in (features, offset, weight)]
        ext.deform_conv_backward_input(
            features, offset, incoming, *gradients[:2], weight, buffers[0], **form
        )
        ext.deform_conv_backward_parameters(
            features, offset, incoming, gradients[2], *buffers, **form, scale=1
        )
        found += [output, *gradients]
    return found


def _modulated_deform_conv(ext: Any, generator: torch.Generator) -> list[Tensor]:
    found = []
    for batch, groups, with_bias in ((1, 1, True), (3, 2, False)):
        draw = partial(_random, generator=generator)
        features, weight, bias = draw(batch, 4, 9, 8), draw(6, 4 // groups, 3, 3), draw(6)
        offset, mask = draw(batch, 18, 9, 8), draw(batch, 9, 9, 8).sigmoid()
        output, incoming = torch.zeros(batch, 6, 9, 8), draw(batch, 6, 9, 8)
        form = {"kernel_h": 3, "kernel_w": 3, "stride_h": 1, "stride_w": 1, "pad_h": 1, "pad_w": 1}
        form |= {"dilation_h": 1, "dilation_w": 1, "group": groups, "deformable_group": 1}
        form |= {"with_bias": with_bias}
        ones, columns = torch.zeros(0), torch.zeros(0)
        ext.modulated_deform_conv_forward(
            features, weight, bias, ones, offset, mask, output, columns, **form
        )
        gradients = [torch.zeros_like(one) for one in (features, weight, bias, offset, mask)]
        ext.modulated_deform_conv_backward(
            *(features, weight, bias, ones, offset, mask, columns, *gradients, incoming), **form
        )
        found += [output, *gradients]
    return found


@pytest.mark.parametrize("operator", [_nms, _roi_align])
@pytest.mark.parametrize("seed", range(5))
def test_operators_that_every_detector_uses_are_bit_equal_to_the_compiled_ones(
    compiled: ModuleType, operator: Callable[..., list[Tensor]], seed: int
) -> None:
    ours = operator(STAND_IN, torch.Generator().manual_seed(seed))
    theirs = operator(compiled, torch.Generator().manual_seed(seed))
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("operator", [_soft_nms, _deform_conv, _modulated_deform_conv])
@pytest.mark.parametrize("seed", range(3))
def test_other_operators_equal_the_compiled_ones_to_float_precision(
    compiled: ModuleType, operator: Callable[..., list[Tensor]], seed: int
) -> None:
    ours = operator(STAND_IN, torch.Generator().manual_seed(seed))
    theirs = operator(compiled, torch.Generator().manual_seed(seed))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def _reference_nms(boxes: Tensor, scores: Tensor, threshold: float) -> list[int]:
    kept: list[int] = []
    for index in scores.argsort(descending=True).tolist():
        if all(_iou(boxes[index], boxes[other]) <= threshold for other in kept):
            kept.append(index)
    return kept


def _iou(one: Tensor, other: Tensor) -> float:
    sides = (torch.minimum(one[2:], other[2:]) - torch.maximum(one[:2], other[:2])).clamp(min=0)
    areas = (one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod()
    return float(sides.prod() / (areas - sides.prod()))


def test_nms_keeps_what_the_greedy_definition_keeps() -> None:
    generator = torch.Generator().manual_seed(0)
    boxes, scores = _boxes(80, generator), torch.rand(80, generator=generator)
    _, kept = nms(boxes, scores, 0.4)
    assert kept.tolist() == _reference_nms(boxes, scores, 0.4)


def test_batched_nms_never_drops_a_box_for_one_of_another_class() -> None:
    box = torch.tensor([[0.0, 0.0, 10.0, 10.0]] * 4)
    scores, classes = torch.tensor([0.9, 0.8, 0.7, 0.6]), torch.tensor([0, 1, 0, 1])
    _, kept = batched_nms(box, scores, classes, {"type": "nms", "iou_threshold": 0.5})
    assert kept.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("method", "second"), [("naive", None), ("linear", 0.8 * 0.4), ("gaussian", 0.8 * 0.4868)]
)
def test_soft_nms_lowers_the_score_of_an_overlapping_box(method: str, second: float | None) -> None:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 6.0], [50.0, 50.0, 60.0, 60.0]])
    dets, kept = soft_nms(boxes, torch.tensor([0.9, 0.8, 0.5]), 0.3, method=method)
    expected = [0.9, 0.5] if second is None else sorted([0.9, 0.5, second], reverse=True)
    assert dets[:, 4].tolist() == pytest.approx(expected, abs=1e-3)
    assert kept[0] == 0


def test_roi_align_of_a_constant_map_is_that_constant_and_spreads_the_gradient() -> None:
    features = torch.full((1, 2, 12, 12), 3.0, requires_grad=True)
    found = RoIAlign((7, 7), 1.0, 2)(features, torch.tensor([[0.0, 2.0, 2.0, 9.0, 9.0]]))
    torch.testing.assert_close(found, torch.full((1, 2, 7, 7), 3.0))
    found.sum().backward()
    assert features.grad is not None
    assert float(features.grad.sum()) == pytest.approx(2 * 49, rel=1e-5)


def test_deformable_convolutions_without_offsets_are_plain_ones_with_their_gradients() -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(4, 6, 3, padding=1)
    first = DeformConv2d(4, 6, 3, padding=1)
    second = ModulatedDeformConv2d(4, 6, 3, padding=1)
    features, offset, mask = (
        torch.randn(2, 4, 9, 8),
        torch.zeros(2, 18, 9, 8),
        torch.ones(2, 9, 9, 8),
    )
    bias = plain.bias
    assert bias is not None
    with torch.no_grad():
        first.weight.copy_(plain.weight)
        second.weight.copy_(plain.weight)
        second.bias.copy_(bias)
    expected = plain(features)
    torch.testing.assert_close(
        first(features, offset), expected - bias[:, None, None], rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(second(features, offset, mask), expected, rtol=1e-4, atol=1e-5)
    for layer, inputs in ((first, (offset,)), (second, (offset, mask)), (plain, ())):
        layer(features, *inputs).square().sum().backward()
    torch.testing.assert_close(second.weight.grad, plain.weight.grad, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(second.bias.grad, bias.grad, rtol=1e-3, atol=1e-3)


def test_operator_without_stand_in_fails_when_called_and_names_itself() -> None:
    assert hasattr(STAND_IN, "carafe_forward")
    with pytest.raises(NotImplementedError, match=r"'carafe_forward'.*MMCV_WITH_OPS=1"):
        STAND_IN.carafe_forward(1, 2, key=3)
    assert not hasattr(STAND_IN, "__wrapped__")


def test_max_pooling_roi_align_is_refused() -> None:
    layer = RoIAlign((2, 2), 1.0, 2, pool_mode="max")
    with pytest.raises(NotImplementedError, match="pool_mode"):
        layer(torch.zeros(1, 1, 4, 4), torch.zeros(1, 5))


def test_compiled_mmcv_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = ModuleType("mmcv._ext")
    monkeypatch.setitem(sys.modules, "mmcv._ext", theirs)
    mmcv_ext.install()
    assert sys.modules["mmcv._ext"] is theirs


def test_compiled_mmcv_that_does_not_load_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name == "mmcv._ext":
                raise ImportError("undefined symbol: _ZN3c10")

    monkeypatch.delitem(sys.modules, "mmcv._ext")
    monkeypatch.setattr(sys, "meta_path", [Broken, *sys.meta_path])
    with pytest.raises(ImportError, match=r"undefined symbol.*pip install"):
        mmcv_ext.install()
