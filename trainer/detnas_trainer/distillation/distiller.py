"""A student's training loss under a teacher: mmdet's own, plus the distillation terms."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from detnas.records.settings import Distillation
from detnas_trainer.distillation.adaptor import Adaptor
from detnas_trainer.distillation.box_passes import BoxForward, recorded
from detnas_trainer.distillation.losses import (
    bn_sparsity_loss,
    class_aware_localization_loss,
    classification_loss,
    feature_loss,
    map_loss,
    plain_localization_loss,
)
from detnas_trainer.distillation.masks import anchor_masks, gaussian_mask
from detnas_trainer.distillation.teaching import (
    Teacher,
    check_teacher,
    teacher_levels,
    teacher_passes,
)
from detnas_trainer.openmmlab import CascadeRoIHead, TwoStageDetector
from detnas_trainer.ranks.group import rank_count, share_of_mean

Losses = dict[str, Tensor]
Levels = Sequence[Tensor]
Term = Callable[[BoxForward, BoxForward], Tensor]

_LEAST_POINTS = 1e-6
"""Divides by something where no position is masked, and less than any box's share."""


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
            check_teacher(student, teacher, settings)

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
            levels = teacher_levels(teacher, self.student, inputs, samples)
        losses: Losses = {}
        if self._compares_maps:
            masks = self._masks(levels, samples)
            losses["loss_distill_feature"] = self._map_term(passes[-1].levels, levels, masks)
        if self._terms:
            with torch.no_grad():
                taught = teacher_passes(teacher, levels, self.student, passes)
            for stage, pair in enumerate(zip(passes, taught, strict=True)):
                losses.update(self._stage_terms(stage, *pair))
        return losses

    def _stage_terms(self, stage: int, student: BoxForward, taught: BoxForward) -> Losses:
        """The terms of one box head; those of a cascade's stage weigh as its own losses do."""
        name, part = "loss_distill", share_of_mean(len(student.rois))  # means over RoIs
        if isinstance(self.student.roi_head, CascadeRoIHead):
            name = f"s{stage}.{name}"
            part *= self.student.roi_head.stage_loss_weights[stage]
        return {
            f"{name}_{kind}": weight * part * term(student, taught)
            for kind, (weight, term) in self._terms.items()
        }

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
