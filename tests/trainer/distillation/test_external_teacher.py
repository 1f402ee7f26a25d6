"""A student under a teacher of one's own: every form of features, boxes in the student's units."""

from decimal import Decimal

import pytest
import torch

from detnas.architecture import parse
from detnas.records.settings import DetectorShape, Distillation
from detnas_trainer.detector import build_detector
from detnas_trainer.distillation import Adaptor, Distiller, IncompatibleTeacher, teaching
from detnas_trainer.foreign import load_teacher_file, read_teacher
from tests.trainer.conftest import CLASSES
from tests.trainer.foreign.teachers import NECK, cascade, faster, write_teacher
from tests.trainer.samples import make_batch

SHAPE = DetectorShape(neck=8, fc=16, proposals=40, roi_samples=16, anchor_scale=4)
PLAIN = Distillation(localization="Plain", bn_weight=Decimal(0))


def _batch():
    inputs, samples = make_batch(3)
    for sample in samples:
        sample.gt_instances.labels = sample.gt_instances.labels.clamp(max=1)
    return inputs, samples


@pytest.fixture
def student():
    torch.manual_seed(0)
    return build_detector(parse("[(8, 8)], [(8, 12)], [(12, 16)], [(16, 16)]", stem=8), SHAPE, 2)


@pytest.fixture
def teachers(tmp_path_factory):
    found = {}
    for name, model in (("faster", faster()), ("cascade", cascade())):
        read = read_teacher(*write_teacher(tmp_path_factory.mktemp(name), model), CLASSES)
        found[name] = load_teacher_file(read.settings, read.state)
    return found


@pytest.mark.parametrize("features", ["Proposal", "Whole", "AnchorMask", "GaussianMask", "None"])
def test_external_teacher_teaches_and_is_not_changed(student, teachers, features):
    teacher = teachers["cascade"]
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    adaptor = Adaptor(8, NECK)
    settings = PLAIN.model_copy(update={"features": features})
    losses = Distiller(student, teacher, settings, adaptor).loss(*_batch())
    distilled = [value for name, value in losses.items() if "distill" in name]
    assert len(distilled) == 2 + (features != "None")
    torch.stack(distilled).sum().backward()
    assert student.backbone.conv1.weight.grad.abs().sum() > 0
    assert (adaptor.convolution.weight.grad is not None) == (features != "None")
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert not any("teacher" in name for name in student.state_dict())


def test_external_teacher_has_the_memory_format_of_its_device(student, teachers, monkeypatch):
    inputs, samples = _batch()

    def levels(teacher):
        return teaching.teacher_levels(teacher, student, inputs, samples)

    expected = levels(teachers["cascade"])
    monkeypatch.setattr(teaching, "fastest_format", lambda _: torch.channels_last)
    found = levels(teaching.frozen_teacher(teachers["cascade"]))
    assert all(level.is_contiguous(memory_format=torch.channels_last) for level in found)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_one_stage_student_is_taught_by_the_first_stage_alone(student, teachers):
    teacher = teachers["cascade"]

    def loss():
        torch.manual_seed(1)
        losses = Distiller(student, teacher, PLAIN, Adaptor(8, NECK)).loss(*_batch())
        return losses["loss_distill_classification"].item()

    before = loss()
    torch.nn.init.zeros_(teacher.heads[2].fc_cls.weight)
    assert loss() == before
    torch.nn.init.zeros_(teacher.heads[0].fc_cls.weight)
    assert loss() != before


def test_class_agnostic_external_teacher_names_the_plain_loss(student, teachers):
    settings = Distillation()
    with pytest.raises(IncompatibleTeacher, match="localization to Plain"):
        Distiller(student, teachers["cascade"], settings, Adaptor(8, NECK))
    Distiller(student, teachers["faster"], settings, Adaptor(8, NECK))


def test_rois_of_another_size_are_refused_where_their_features_are_compared(tmp_path, student):
    model = faster()
    model["roi_head"]["bbox_roi_extractor"]["roi_layer"]["output_size"] = 5
    model["roi_head"]["bbox_head"]["roi_feat_size"] = 5
    read = read_teacher(*write_teacher(tmp_path, model), CLASSES)
    teacher = load_teacher_file(read.settings, read.state)
    with pytest.raises(IncompatibleTeacher, match=r"RoI features of \(5, 5\) positions"):
        Distiller(student, teacher, PLAIN, Adaptor(8, NECK))
    whole = PLAIN.model_copy(update={"features": "Whole"})
    losses = Distiller(student, teacher, whole, Adaptor(8, NECK)).loss(*_batch())
    assert losses["loss_distill_classification"] > 0
