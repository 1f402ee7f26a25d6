"""The wrapper: plain mmdet at zero weights, gradients where they belong, refusals by name."""

from decimal import Decimal

import pytest
import torch

from detnas.architecture import parse
from detnas.records.settings import DetectorShape, Distillation, HeadKind
from detnas_trainer.detector import build_detector
from detnas_trainer.distillation import Adaptor, Distiller, IncompatibleTeacher
from detnas_trainer.distillation.box_passes import recorded
from detnas_trainer.distillation.losses import classification_loss
from tests.trainer.samples import make_batch, sample

SHAPE = DetectorShape(neck=8, fc=16, proposals=40, roi_samples=16, anchor_scale=4)
STUDENT = parse("[(8, 8)], [(8, 12)], [(12, 16)], [(16, 16)]", stem=8)
TEACHER = parse("[(8, 8, 16)], [(8, 8, 24)], [(8, 8, 24)], [(8, 8, 32)]", stem=12)
ZERO = Decimal(0)
CASCADE = SHAPE.model_copy(update={"head": HeadKind.CASCADE})
PLAIN = Distillation(localization="Plain")
FEATURES = ["Proposal", "Whole", "AnchorMask", "GaussianMask"]
OFF = Distillation(
    feature_weight=ZERO, classification_weight=ZERO, localization_weight=ZERO, bn_weight=ZERO
)


def _detector(architecture, neck=None, classes=3, shape=SHAPE):
    torch.manual_seed(len(architecture.family))
    return build_detector(architecture, shape, classes, neck)


def _total(losses):
    return sum(sum(v) if isinstance(v, list) else v for k, v in losses.items() if "loss" in k)


@pytest.fixture
def student():
    return _detector(STUDENT)


@pytest.fixture
def teacher():
    return _detector(TEACHER, neck=12).eval()


def test_zero_weights_are_plain_mmdet_bit_for_bit(student, teacher):
    inputs, samples = make_batch(3)
    distiller = Distiller(student, teacher, OFF, Adaptor(8, 12))
    torch.manual_seed(11)
    ours = distiller.loss(inputs, samples)
    torch.manual_seed(11)
    plain = student.loss(inputs, samples)
    assert ours.keys() == plain.keys()
    for name, value in plain.items():
        for mine, theirs in zip(
            ours[name] if isinstance(value, list) else [ours[name]],
            value if isinstance(value, list) else [value],
            strict=True,
        ):
            assert torch.equal(mine, theirs), name


def test_detection_losses_stay_the_same_with_a_teacher(student, teacher):
    inputs, samples = make_batch(3)
    distiller = Distiller(student, teacher, Distillation(), Adaptor(8, 12))
    torch.manual_seed(11)
    distilled = distiller.loss(inputs, samples)
    torch.manual_seed(11)
    plain = student.loss(inputs, samples)
    assert torch.equal(distilled["loss_cls"], plain["loss_cls"])
    assert set(distilled) - set(plain) == {
        "loss_distill_feature",
        "loss_distill_classification",
        "loss_distill_localization",
        "loss_bn",
    }


def test_gradients_reach_student_and_adaptor_never_the_teacher(student, teacher):
    inputs, samples = make_batch(3)
    adaptor = Adaptor(8, 12)
    distiller = Distiller(student, teacher, Distillation(), adaptor)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    _total(distiller.loss(inputs, samples)).backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert all(p.grad is not None for p in adaptor.parameters())
    assert student.backbone.conv1.weight.grad.abs().sum() > 0
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_adaptors_first_channels_serve_a_narrower_teacher():
    adaptor = Adaptor(8, 12)
    features = torch.randn(3, 8, 7, 7)
    assert torch.allclose(adaptor(features, 6), adaptor(features, 12)[:, :6], atol=1e-6)


@pytest.mark.parametrize("features", FEATURES)
def test_perfect_student_has_no_feature_gap(features):
    detector = _detector(STUDENT).eval()
    adaptor = Adaptor(8, 8)
    torch.nn.init.dirac_(adaptor.convolution.weight)
    assert adaptor.convolution.bias is not None
    torch.nn.init.zeros_(adaptor.convolution.bias)
    inputs, samples = make_batch(3)
    settings = Distillation(features=features)
    losses = Distiller(detector, detector, settings, adaptor).loss(inputs, samples)
    assert losses["loss_distill_feature"].item() == pytest.approx(0, abs=1e-10)
    assert losses["loss_distill_localization"].item() == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("features", FEATURES)
def test_features_teach_student_and_adaptor_without_other_terms(student, teacher, features):
    adaptor = Adaptor(8, 12)
    settings = Distillation(
        features=features, classification_weight=ZERO, localization="None", bn_weight=ZERO
    )
    losses = Distiller(student, teacher, settings, adaptor).loss(*make_batch(3))
    assert {name for name in losses if "distill" in name} == {"loss_distill_feature"}
    losses["loss_distill_feature"].backward()
    assert all(p.grad is not None and p.grad.any() for p in adaptor.parameters())
    assert student.backbone.conv1.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in teacher.parameters())


def test_masks_of_features_lead_to_different_losses(student, teacher):
    adaptor = Adaptor(8, 12)
    found = set()
    for features in FEATURES:
        settings = Distillation(features=features)
        torch.manual_seed(11)
        losses = Distiller(student, teacher, settings, adaptor).loss(*make_batch(3))
        found.add(losses["loss_distill_feature"].item())
    assert len(found) == len(FEATURES)


@pytest.mark.parametrize("features", ["AnchorMask", "GaussianMask"])
def test_masked_features_of_images_without_objects_teach_nothing(student, teacher, features):
    inputs, _ = make_batch(3)
    settings = Distillation(features=features)
    empty = [sample() for _ in range(2)]
    for one in empty:
        one.gt_instances = one.gt_instances[:0]
    losses = Distiller(student, teacher, settings, Adaptor(8, 12)).loss(inputs, empty)
    assert losses["loss_distill_feature"].item() == 0


def test_class_agnostic_teacher_teaches_localization_plainly(student, teacher):
    head = teacher.roi_head.bbox_head
    head.reg_class_agnostic = True
    head.fc_reg = torch.nn.Linear(head.fc_reg.in_features, 4)
    plain = Distillation(localization="Plain")
    losses = Distiller(student, teacher, plain, Adaptor(8, 12)).loss(*make_batch(3))
    assert losses["loss_distill_localization"] > 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda head: setattr(head, "num_classes", 5), "5 classes, the student has 3"),
        (lambda head: setattr(head, "reg_class_agnostic", True), "localization to Plain"),
    ],
    ids=["other classes", "class-agnostic teacher"],
)
def test_incomparable_teacher_is_refused(student, teacher, change, said):
    change(teacher.roi_head.bbox_head)
    with pytest.raises(IncompatibleTeacher, match=said):
        Distiller(student, teacher, Distillation(), Adaptor(8, 12))


def test_cascades_stages_are_distilled_on_their_own_rois():
    student, teacher = _detector(STUDENT, shape=CASCADE), _detector(TEACHER, 12, shape=CASCADE)
    adaptor, (inputs, samples) = Adaptor(8, 12), make_batch(3)
    torch.manual_seed(11)
    losses = Distiller(student, teacher.eval(), PLAIN, adaptor).loss(inputs, samples)
    torch.manual_seed(11)
    with recorded(student.roi_head) as passes, torch.no_grad():
        student.loss(*make_batch(3))
    assert {name for name in losses if "distill" in name} == {
        f"s{stage}.loss_distill_{kind}"
        for stage in range(3)
        for kind in ("feature", "classification", "localization")
    }
    boxes = [one.rois for one in passes]
    assert not torch.equal(boxes[0][: len(boxes[1])], boxes[1][: len(boxes[0])])
    with torch.no_grad():
        levels = teacher.extract_feat(inputs)
        for stage, (weight, own) in enumerate(zip((1.0, 0.5, 0.25), passes, strict=True)):
            taught = teacher.roi_head._bbox_forward(stage, levels, own.rois)
            expected = weight * classification_loss(own.logits, taught["cls_score"])
            found = losses[f"s{stage}.loss_distill_classification"]
            torch.testing.assert_close(found.detach(), expected)
    _total(losses).backward()
    assert all(p.grad is not None for p in student.roi_head.parameters())
    assert all(p.grad is None for p in teacher.parameters())


def test_cascade_at_zero_weights_is_plain_mmdet_bit_for_bit():
    student, teacher = _detector(STUDENT, shape=CASCADE), _detector(TEACHER, 12, shape=CASCADE)
    inputs, samples = make_batch(3)
    torch.manual_seed(11)
    ours = Distiller(student, teacher.eval(), OFF, None).loss(inputs, samples)
    torch.manual_seed(11)
    plain = student.loss(inputs, samples)
    assert ours.keys() == plain.keys()
    assert all(torch.equal(ours[name], plain[name]) for name in plain if name.startswith("s"))


def test_teacher_with_one_head_teaches_every_stage_of_a_cascade(teacher):
    student = _detector(STUDENT, shape=CASCADE)
    losses = Distiller(student, teacher, PLAIN, Adaptor(8, 12)).loss(*make_batch(3))
    for stage in range(3):
        for kind in ("feature", "classification", "localization"):
            assert losses[f"s{stage}.loss_distill_{kind}"] > 0


def test_class_aware_localization_of_cascades_is_refused():
    student, teacher = _detector(STUDENT, shape=CASCADE), _detector(TEACHER, 12, shape=CASCADE)
    with pytest.raises(IncompatibleTeacher, match="localization to Plain"):
        Distiller(student, teacher, Distillation(), Adaptor(8, 12))
