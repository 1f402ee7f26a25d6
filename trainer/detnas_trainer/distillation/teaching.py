"""A teacher on a student's images and RoIs: what it computes, and whether that is comparable.

A teacher's stage teaches the stage of the student with the same number, and its last one those
that follow: a teacher with one head teaches every stage of a cascade, and of a cascade the first
stage teaches a student with one head.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

from torch import Tensor

from detnas.errors import UserError
from detnas.records.settings import Distillation
from detnas_trainer.detector import fastest_format
from detnas_trainer.distillation.box_passes import BoxForward, box_forward
from detnas_trainer.distillation.losses import converted_deltas
from detnas_trainer.foreign import ExternalTeacher, Pixels
from detnas_trainer.openmmlab import TwoStageDetector
from detnas_trainer.roi_head import box_heads, roi_extractors

Teacher: TypeAlias = TwoStageDetector | ExternalTeacher
Levels = tuple[Tensor, ...]
T = TypeVar("T", TwoStageDetector, ExternalTeacher)


class IncompatibleTeacher(UserError):  # noqa: N818 - says what is wrong
    """A teacher whose outputs cannot be compared with the student's."""


def frozen_teacher(teacher: T) -> T:
    """The teacher itself in evaluation mode, without gradients, ready for its device's images.

    Its weights are laid out as the student's are (`Gradients`), so that no convolution has to
    rearrange them or its images in every step.
    """
    device = next(teacher.parameters()).device
    teacher.to(memory_format=fastest_format(device.type))
    return teacher.requires_grad_(requires_grad=False).eval()


def teacher_levels(
    teacher: Teacher, student: TwoStageDetector, inputs: Tensor, samples: Sequence[Any]
) -> Levels:
    """The levels of the teacher's neck, N × neck × H × W each.

    Args:
        teacher: an external one has pixels of its own.
        student: whose pixels the images have.
        inputs: N × 3 × H × W, normalised for the student.
        samples: the N images' annotations, as mmdet's `DetDataSample`.
    """
    if not isinstance(teacher, ExternalTeacher):
        return tuple(teacher.extract_feat(inputs))
    sizes = [sample.img_shape for sample in samples]
    return tuple(teacher.levels(inputs, sizes, _pixels(student)))


def teacher_passes(
    teacher: Teacher, levels: Levels, student: TwoStageDetector, passes: Sequence[BoxForward]
) -> list[BoxForward]:
    """The student's RoIs through the teacher's heads, box deltas in the student's units.

    Args:
        teacher: whose heads.
        levels: of `teacher_levels`.
        student: whose units.
        passes: of the student, one for each of its stages.
    """
    rois = [one.rois.detach() for one in passes]
    heads = box_heads(student.roi_head)
    pairs = _pairs(heads, _heads(teacher))
    return [
        replace(taught, deltas=converted_deltas(taught.deltas, theirs.bbox_coder, ours.bbox_coder))
        for taught, (ours, theirs) in zip(_passes(teacher, levels, rois), pairs, strict=True)
    ]


def _passes(teacher: Teacher, levels: Levels, rois: Sequence[Tensor]) -> list[BoxForward]:
    if isinstance(teacher, ExternalTeacher):
        found = teacher.passes(levels, rois)
        return [
            BoxForward(levels, own, one.features, one.logits, one.deltas)
            for own, one in zip(rois, found, strict=True)
        ]
    last = len(_heads(teacher)) - 1
    return [
        box_forward(teacher.roi_head, levels, own, min(stage, last))
        for stage, own in enumerate(rois)
    ]


def _heads(teacher: Teacher) -> list[Any]:
    """The box head of each of a teacher's stages."""
    heads = teacher.heads if isinstance(teacher, ExternalTeacher) else box_heads(teacher.roi_head)
    return list(heads)


def _pairs(ours: Sequence[Any], theirs: Sequence[Any]) -> list[tuple[Any, Any]]:
    """The box head of each of the student's stages, and the teacher's that teaches it."""
    return [(own, theirs[min(stage, len(theirs) - 1)]) for stage, own in enumerate(ours)]


def _pixels(detector: TwoStageDetector) -> Pixels:
    """The pixels that a detector's preprocessor gives."""
    preprocessor = detector.data_preprocessor
    is_rgb = bool(preprocessor._channel_conversion)
    order = 1 if is_rgb else -1
    mean, std = (values.flatten().tolist() for values in (preprocessor.mean, preprocessor.std))
    return Pixels(mean[::order], std[::order], is_rgb)


def check_teacher(student: TwoStageDetector, teacher: Teacher, settings: Distillation) -> None:
    """Refuse a teacher whose outputs on RoIs cannot be compared with the student's.

    Raises:
        IncompatibleTeacher: its classes, boxes or RoI features are of another form.
    """
    if settings.features == "Proposal" and settings.feature_weight:
        _check_features(student, teacher)
    for ours, theirs in _pairs(box_heads(student.roi_head), _heads(teacher)):
        _check_heads(ours, theirs, settings)


def _check_features(student: TwoStageDetector, teacher: Teacher) -> None:
    side = _roi_side(roi_extractors(student.roi_head)[0])
    if isinstance(teacher, ExternalTeacher):
        other = teacher.roi_side
    else:
        other = _roi_side(roi_extractors(teacher.roi_head)[0])
    if side != other:
        raise IncompatibleTeacher(
            f"teacher: RoI features of {other} positions, the student's have {side}",
            "set distillation.features to another form, such as Whole",
        )


def _roi_side(extractor: Any) -> tuple[int, ...]:
    return tuple(extractor.roi_layers[0].output_size)


def _check_heads(ours: Any, theirs: Any, settings: Distillation) -> None:
    if ours.num_classes != theirs.num_classes:
        raise IncompatibleTeacher(
            f"teacher: {theirs.num_classes} classes, the student has {ours.num_classes}",
            "both must be trained on the same classes",
        )
    compares_classes = settings.localization == "ClassAware" and settings.localization_weight
    if compares_classes and (ours.reg_class_agnostic or theirs.reg_class_agnostic):
        raise IncompatibleTeacher(
            "distillation.localization: ClassAware, but one box serves all classes here",
            "set distillation.localization to Plain",
        )
