"""The upgrade of a found student: it computes what it did, learns, and stock mmdet loads it."""

import pytest
import torch
from mmdet.models.backbones import ResNet, ResNeXt

from detnas.architecture import Architecture, Family, parse
from detnas.cost import detector_cost
from detnas.records.requests import DetectorUpgrade
from detnas.records.settings import DetectorShape, HeadKind, Resolution
from detnas_trainer.backbone import EvolvableBackbone
from detnas_trainer.detector import build_detector, load_detector
from detnas_trainer.evolve import (
    InvalidActionError,
    upgraded_architecture,
    upgraded_shape,
    upgraded_state,
)
from tests.trainer.foreign.randomised import randomised
from tests.trainer.samples import make_batch

SHAPE = DetectorShape(neck=8, fc=16, proposals=40, roi_samples=16, anchor_scale=4)
STUDENT = parse(
    "[(8, 8, 16)], [(8, 12, 24)-(8, 8, 24)], [(8, 8, 24)], [(8, 8, 32)]", Family.BOTTLENECK, 8
)
BASIC = parse("[(8, 8)], [(8, 12)], [(12, 16)], [(16, 16)]", Family.BASIC, 8)
DCN = DetectorUpgrade(deformable=(2, 3, 4))
BOTH = DetectorUpgrade(deformable=(2, 3, 4), cascade=True)
ROIS = torch.tensor([[0, 4, 4, 30, 34], [0, 30, 20, 60, 60], [1, 2, 8, 40, 60.0]])


def _student(architecture=STUDENT):
    torch.manual_seed(0)
    return randomised(build_detector(architecture, SHAPE, 3))


def _upgraded(student, upgrade):
    architecture = upgraded_architecture(STUDENT, upgrade)
    shape = upgraded_shape(SHAPE, upgrade)
    state = upgraded_state(student.state_dict(), architecture, SHAPE, shape)
    return load_detector(architecture, shape, 3, state).eval(), architecture, shape


def test_deformable_student_computes_what_it_did_before_the_training():
    student = _student()
    upgraded, architecture, _ = _upgraded(student, DCN)
    assert architecture.deformable == (2, 3, 4)
    deformable = [n for n, m in upgraded.named_modules() if hasattr(m, "conv_offset")]
    assert deformable == [
        "backbone.layer2.0.conv2", "backbone.layer2.1.conv2", "backbone.layer3.0.conv2",
        "backbone.layer4.0.conv2",
    ]  # fmt: skip
    inputs, _ = make_batch(3)
    with torch.inference_mode():
        for ours, before in zip(
            upgraded.extract_feat(inputs), student.extract_feat(inputs), strict=True
        ):
            assert torch.allclose(ours, before, rtol=1e-4, atol=1e-5)


def test_every_stage_of_the_cascade_begins_as_the_students_head():
    student = _student()
    upgraded, _, shape = _upgraded(student, BOTH)
    assert shape.head is HeadKind.CASCADE
    levels = student.extract_feat(make_batch(3)[0])
    with torch.inference_mode():
        before = student.roi_head._bbox_forward(levels, ROIS)
        by_class = before["bbox_pred"].view(len(ROIS), 3, 4).mean(dim=1)
        coder = student.roi_head.bbox_head.bbox_coder
        boxes = coder.decode(ROIS[:, 1:], by_class)
        for stage, head in enumerate(upgraded.roi_head.bbox_head):
            found = upgraded.roi_head._bbox_forward(stage, levels, ROIS)
            assert torch.allclose(found["cls_score"], before["cls_score"], rtol=1e-4, atol=1e-5)
            decoded = head.bbox_coder.decode(ROIS[:, 1:], found["bbox_pred"])
            assert torch.allclose(decoded, boxes, atol=1e-2), stage


def test_upgraded_student_learns_in_its_offsets_and_every_stage():
    upgraded, _, _ = _upgraded(_student(), BOTH)
    upgraded.train()
    loss, _ = upgraded.parse_losses(upgraded.loss(*make_batch(3)))
    loss.backward()
    offsets = upgraded.backbone.layer3[0].conv2.conv_offset
    assert offsets.weight.grad.abs().sum() > 0
    assert all(head.fc_cls.weight.grad.abs().sum() > 0 for head in upgraded.roi_head.bbox_head)


@pytest.mark.parametrize(
    ("family", "theirs"), [(Family.BOTTLENECK, ResNet), (Family.RESNEXT, ResNeXt)]
)
def test_deformable_backbone_is_mmdets_with_the_same_weights(family, theirs):
    dcn = {"type": "DCN", "deform_groups": 1, "fallback_on_stride": False}
    settings = {"depth": 50, "stem_channels": 8, "base_channels": 4, "dcn": dcn}
    if family is Family.RESNEXT:
        settings |= {"groups": 2, "base_width": 4}
    torch.manual_seed(0)
    mmdets = randomised(theirs(stage_with_dcn=(False, True, True, True), **settings))
    widths = [
        tuple(getattr(stage[0], f"conv{number}").weight.shape[0] for number in (1, 2, 3))
        for stage in (mmdets.layer1, mmdets.layer2, mmdets.layer3, mmdets.layer4)
    ]
    blocks = [[list(one)] * depth for one, depth in zip(widths, (3, 4, 6, 3), strict=True)]
    grouped = family is Family.RESNEXT
    groups = [[w[0] // 2] * len(s) for w, s in zip(widths, blocks, strict=True)]
    ours = EvolvableBackbone(
        str(family), 8, blocks, deformable=(2, 3, 4), group_widths=groups if grouped else None
    )
    for name, value in mmdets.state_dict().items():
        if "conv_offset" in name:
            value.normal_(0, 0.1, generator=torch.Generator().manual_seed(len(name)))
    ours.load_state_dict(mmdets.state_dict())
    inputs, _ = make_batch(3)
    with torch.inference_mode():
        for mine, other in zip(ours.eval()(inputs), mmdets(inputs), strict=True):
            assert torch.allclose(mine, other, rtol=1e-4, atol=1e-4)


def test_flops_count_the_convolutions_that_give_the_offsets():
    size = Resolution(width=64, height=64)
    plain = detector_cost(STUDENT, SHAPE, 3, size).parts
    upgraded = detector_cost(upgraded_architecture(STUDENT, DCN), SHAPE, 3, size).parts
    extra = upgraded["stage 2"].parameters - plain["stage 2"].parameters
    assert extra == 2 * (8 * 18 * 9 + 18)
    assert upgraded["stage 2"].flops - plain["stage 2"].flops == extra * 8 * 8
    assert upgraded["stage 1"] == plain["stage 1"]
    built = sum(p.numel() for p in _upgraded(_student(), DCN)[0].parameters())
    assert built == sum(part.parameters for part in upgraded.values())
    whole = detector_cost(
        upgraded_architecture(STUDENT, BOTH), upgraded_shape(SHAPE, BOTH), 3, size
    )
    assert whole.parts["box head"].flops > 2.5 * plain["box head"].flops


def test_upgrades_without_meaning_are_refused():
    with pytest.raises(InvalidActionError, match="Basic blocks have no convolution"):
        upgraded_architecture(BASIC, DCN)
    with pytest.raises(InvalidActionError, match="is a cascade already"):
        upgraded_shape(SHAPE.model_copy(update={"head": HeadKind.CASCADE}), BOTH)
    for wrong in ((3, 2), (2, 2), (0,), (5,)):
        with pytest.raises(ValueError, match="deformable"):
            Architecture(family=STUDENT.family, stem=8, stages=STUDENT.stages, deformable=wrong)
