"""A student's training loss under a teacher: mmdet's own, plus the distillation terms."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from detnas.errors import UserError
from detnas.records.settings import Distillation
from detnas_trainer.distillation.adaptor import Adaptor
from detnas_trainer.distillation.losses import (
    bn_sparsity_loss,
    class_aware_localization_loss,
    classification_loss,
    converted_deltas,
    feature_loss,
    map_loss,
    plain_localization_loss,
)
from detnas_trainer.distillation.masks import anchor_masks, gaussian_mask
from detnas_trainer.foreign import ExternalTeacher, Pixels
from detnas_trainer.openmmlab import BaseRoIHead, CascadeRoIHead, TwoStageDetector
from detnas_trainer.ranks.group import rank_count, share_of_mean
from detnas_trainer.roi_head import box_heads, roi_extractors


@dataclass(slots=True)
class BoxForward:
    """One pass of RoIs through a box head.

    Attributes:
        levels: N × neck × H × W for each of the neck's levels.
        rois: RoIs × 5: image index and box corners, in pixels of the network's input.
        features: RoIs × neck × 7 × 7, after RoI align.
        logits: RoIs × (classes + 1), background last.
        deltas: RoIs × 4·classes.
    """

    levels: tuple[Tensor, ...]
    rois: Tensor
    features: Tensor
    logits: Tensor
    deltas: Tensor


def box_forward(
    roi_head: BaseRoIHead, levels: tuple[Tensor, ...], rois: Tensor, stage: int = 0
) -> BoxForward:
    """Run RoIs through a head, or through one stage of a cascade, given the neck's levels."""
    place = (stage,) if isinstance(roi_head, CascadeRoIHead) else ()
    return _named(levels, rois, roi_head._bbox_forward(*place, levels, rois))


@contextmanager
def recorded(roi_head: BaseRoIHead) -> Iterator[list[BoxForward]]:
    """Collect the passes that the head makes inside, leaving what it computes untouched.

    In training there is one for each of its box heads, in order.
    """
    passes: list[BoxForward] = []
    plain = roi_head._bbox_forward

    def forward(*arguments: Any) -> dict[str, Any]:
        results = plain(*arguments)
        *_, levels, rois = arguments  # a cascade's stage is the first
        passes.append(_named(levels, rois, results))
        return results

    roi_head._bbox_forward = forward
    try:
        yield passes
    finally:
        del roi_head._bbox_forward


def _named(levels: tuple[Tensor, ...], rois: Tensor, results: dict[str, Any]) -> BoxForward:
    return BoxForward(
        levels, rois, results["bbox_feats"], results["cls_score"], results["bbox_pred"]
    )


Teacher: TypeAlias = TwoStageDetector | ExternalTeacher
Losses = dict[str, Tensor]
Levels = Sequence[Tensor]
Term = Callable[[BoxForward, BoxForward], Tensor]

_LEAST_POINTS = 1e-6
"""Divides by something where no position is masked, and less than any box's share."""


class IncompatibleTeacher(UserError):  # noqa: N818 - says what is wrong
    """A teacher whose outputs cannot be compared with the student's."""


class Distiller:
    """Adds distillation to a student without changing it.

    The student runs exactly as mmdet would run it; the RoIs it sampled are then put through the
    teacher's backbone, neck and box head (never its RPN), which shares the student's proposals as
    in appendix A.2. It is not a module, so no state dict contains the teacher.

    Without a teacher the student learns plainly; the adaptor is needed where features are compared.

    Raises:
        IncompatibleTeacher: the two heads have different classes or boxes.
    """

    def __init__(
        self,
        student: TwoStageDetector,
        teacher: Teacher | None,
        settings: Distillation,
        adaptor: Adaptor | None = None,
    ) -> None:
        self.student = student
        self.teacher = teacher
        self.settings = settings
        self.adaptor = adaptor
        self._terms = self._weighted_terms() if teacher is not None else {}
        if teacher is not None and self._terms:
            _check(student, teacher, settings)

    def parameters(self) -> Iterator[nn.Parameter]:
        """What training changes: the student and the adaptor."""
        yield from self.student.parameters()
        if self.adaptor is not None:
            yield from self.adaptor.parameters()

    def loss(self, inputs: Tensor, samples: list[Any]) -> Losses:
        """Losses of one preprocessed batch; their sum is the paper's overall loss (3.3).

        Args:
            inputs: N × 3 × H × W, normalised.
            samples: the N images' annotations, as mmdet's `DetDataSample`.
        """
        with recorded(self.student.roi_head) as passes:
            losses: Losses = self.student.loss(inputs, samples)
        if self.teacher is not None:
            losses.update(self._distil(self.teacher, inputs, samples, passes))
        if self.settings.bn_weight:
            weight = float(self.settings.bn_weight)
            losses["loss_bn"] = weight * bn_sparsity_loss(bn_weights(self.student.backbone))
        return losses

    def _distil(
        self,
        teacher: Teacher,
        inputs: Tensor,
        samples: list[Any],
        passes: Sequence[BoxForward],
    ) -> Losses:
        if not self._terms and not self._compares_maps:
            return {}
        with torch.no_grad():
            levels = self._levels(teacher, inputs, samples)
        losses: Losses = {}
        if self._compares_maps:
            masks = self._masks(levels, samples)
            losses["loss_distill_feature"] = self._map_term(passes[-1].levels, levels, masks)
        if self._terms:
            with torch.no_grad():
                taught = _taught(teacher, levels, [one.rois.detach() for one in passes])
            for stage, (student, answer) in enumerate(zip(passes, taught, strict=True)):
                losses.update(self._stage_terms(stage, student, answer))
        return losses

    def _stage_terms(self, stage: int, student: BoxForward, taught: BoxForward) -> Losses:
        """The terms of one box head; those of a cascade's stage weigh as its own losses do."""
        assert self.teacher is not None
        heads, others = box_heads(self.student.roi_head), _heads(self.teacher)
        theirs = others[min(stage, len(others) - 1)].bbox_coder
        taught.deltas = converted_deltas(taught.deltas, theirs, heads[stage].bbox_coder)
        name, part = "loss_distill", share_of_mean(len(student.rois))  # means over RoIs
        if isinstance(self.student.roi_head, CascadeRoIHead):
            name = f"s{stage}.{name}"
            part *= self.student.roi_head.stage_loss_weights[stage]
        return {
            f"{name}_{kind}": weight * part * term(student, taught)
            for kind, (weight, term) in self._terms.items()
        }

    def _levels(self, teacher: Teacher, inputs: Tensor, samples: list[Any]) -> tuple[Tensor, ...]:
        if not isinstance(teacher, ExternalTeacher):
            return tuple(teacher.extract_feat(inputs))
        sizes = [sample.img_shape for sample in samples]
        return tuple(teacher.levels(inputs, sizes, _pixels(self.student)))

    @property
    def _compares_maps(self) -> bool:
        """Whether features are compared on the neck's maps, not on RoIs."""
        return self.settings.features not in ("Proposal", "None") and bool(
            self.settings.feature_weight
        )

    def _map_term(self, student: Levels, teacher: Levels, masks: Sequence[Tensor]) -> Tensor:
        assert self.adaptor is not None, "comparing features needs an adaptor"
        adapted = [
            self.adaptor(ours, theirs.shape[1])
            for ours, theirs in zip(student, teacher, strict=True)
        ]
        total, points = map_loss(adapted, teacher, masks)
        part = share_of_mean(float(points)) if rank_count() > 1 else 1.0
        weight = float(self.settings.feature_weight)
        return weight * part * total / points.clamp(min=_LEAST_POINTS)

    def _masks(self, levels: Levels, samples: list[Any]) -> list[Tensor]:
        """N × H × W for each level, of the form that the settings name."""
        if self.settings.features == "Whole":
            return [torch.ones_like(level[:, 0], dtype=torch.float32) for level in levels]
        by_image = [self._image_masks(levels, sample.gt_instances.bboxes) for sample in samples]
        return [torch.stack(masks) for masks in zip(*by_image, strict=True)]

    def _image_masks(self, levels: Levels, boxes: Tensor) -> list[Tensor]:
        sizes = [(level.shape[2], level.shape[3]) for level in levels]
        generator = self.student.rpn_head.prior_generator
        if self.settings.features == "AnchorMask":
            anchors = generator.grid_priors(sizes, device=boxes.device)
            return anchor_masks(
                boxes, [a.view(*size, -1, 4) for a, size in zip(anchors, sizes, strict=True)]
            )
        strides = generator.strides
        return [gaussian_mask(boxes, s, stride) for s, stride in zip(sizes, strides, strict=True)]

    def _weighted_terms(self) -> dict[str, tuple[float, Term]]:
        """The terms on RoIs in use: a term of weight zero is not computed at all."""
        settings = self.settings
        terms: dict[str, tuple[float, Term]] = {}
        if settings.features == "Proposal":
            terms["feature"] = (float(settings.feature_weight), self._feature_term)
        terms["classification"] = (
            float(settings.classification_weight),
            lambda student, teacher: classification_loss(student.logits, teacher.logits),
        )
        if settings.localization != "None":
            localization = (
                class_aware_localization_loss
                if settings.localization == "ClassAware"
                else plain_localization_loss
            )
            terms["localization"] = (
                float(settings.localization_weight),
                lambda student, teacher: localization(
                    student.deltas, teacher.deltas, teacher.logits
                ),
            )
        return {name: term for name, term in terms.items() if term[0]}

    def _feature_term(self, student: BoxForward, teacher: BoxForward) -> Tensor:
        assert self.adaptor is not None, "comparing features needs an adaptor"
        adapted = self.adaptor(student.features, teacher.features.shape[1])
        return feature_loss(adapted, teacher.features)


def bn_weights(module: nn.Module) -> Iterator[Tensor]:
    """The γ of every batch norm inside."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d | nn.SyncBatchNorm):
            yield part.weight


def _taught(
    teacher: Teacher, levels: tuple[Tensor, ...], rois: Sequence[Tensor]
) -> list[BoxForward]:
    """Each stage's RoIs through the teacher's box head of that stage."""
    if not isinstance(teacher, ExternalTeacher):
        return [box_forward(teacher.roi_head, levels, own, stage) for stage, own in enumerate(rois)]
    return [
        BoxForward(levels, own, found.features, found.logits, found.deltas)
        for own, found in zip(rois, teacher.passes(levels, rois), strict=True)
    ]


def _heads(teacher: Teacher) -> Sequence[Any]:
    """The box head of each of a teacher's stages."""
    if isinstance(teacher, ExternalTeacher):
        return list(teacher.heads)
    return box_heads(teacher.roi_head)


def _pixels(detector: TwoStageDetector) -> Pixels:
    """The pixels that a detector's preprocessor gives."""
    preprocessor = detector.data_preprocessor
    is_rgb = bool(preprocessor._channel_conversion)
    order = 1 if is_rgb else -1
    mean, std = (values.flatten().tolist() for values in (preprocessor.mean, preprocessor.std))
    return Pixels(mean[::order], std[::order], is_rgb)


def _check(student: TwoStageDetector, teacher: Teacher, settings: Distillation) -> None:
    ours, theirs = box_heads(student.roi_head), _heads(teacher)
    is_external = isinstance(teacher, ExternalTeacher)
    if not is_external and len(ours) != len(theirs):
        raise IncompatibleTeacher(
            f"teacher: box heads in {len(theirs)} stages, the student has {len(ours)}",
            "each stage is compared with the teacher's",
        )
    if isinstance(teacher, ExternalTeacher) and settings.features == "Proposal":
        (extractor, *_) = roi_extractors(student.roi_head)
        side = tuple(extractor.roi_layers[0].output_size)
        if side != teacher.roi_side:
            raise IncompatibleTeacher(
                f"teacher: RoI features of {teacher.roi_side} positions, the student's have {side}",
                "set distillation.features to another form, such as Whole",
            )
    for stage, own in enumerate(ours):
        other = theirs[min(stage, len(theirs) - 1)]  # the last stage serves the rest
        _check_heads(own, other, settings, converts=is_external)


def _check_heads(ours: Any, theirs: Any, settings: Distillation, *, converts: bool) -> None:
    """Refuse a head that cannot be compared; `converts` says that its deltas are converted."""
    if ours.num_classes != theirs.num_classes:
        raise IncompatibleTeacher(
            f"teacher: {theirs.num_classes} classes, the student has {ours.num_classes}",
            "both must be trained on the same classes",
        )
    if settings.localization == "None" or not settings.localization_weight:
        return
    if settings.localization == "ClassAware" and (
        ours.reg_class_agnostic or theirs.reg_class_agnostic
    ):
        raise IncompatibleTeacher(
            "distillation.localization: ClassAware, but one box serves all classes here",
            "set distillation.localization to Plain",
        )
    if converts:
        return
    for field in ("means", "stds"):
        own, other = getattr(ours.bbox_coder, field), getattr(theirs.bbox_coder, field)
        if tuple(own) != tuple(other):
            raise IncompatibleTeacher(
                f"teacher: box coder {field} {tuple(other)}, the student's are {tuple(own)}",
                "deltas can be compared in the same units only",
            )
