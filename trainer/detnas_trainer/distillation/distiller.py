"""A student's training loss under a teacher: mmdet's own, plus the distillation terms."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from detnas.errors import UserError
from detnas.records.settings import Distillation
from detnas_trainer.distillation.adaptor import Adaptor
from detnas_trainer.distillation.losses import (
    bn_sparsity_loss,
    class_aware_localization_loss,
    classification_loss,
    feature_loss,
    plain_localization_loss,
)
from detnas_trainer.openmmlab import StandardRoIHead, TwoStageDetector
from detnas_trainer.ranks.group import share_of_mean


@dataclass(slots=True)
class BoxForward:
    """One pass of RoIs through a box head.

    Attributes:
        rois: RoIs × 5: image index and box corners, in pixels of the network's input.
        features: RoIs × neck × 7 × 7, after RoI align.
        logits: RoIs × (classes + 1), background last.
        deltas: RoIs × 4·classes.
    """

    rois: Tensor
    features: Tensor
    logits: Tensor
    deltas: Tensor


def box_forward(roi_head: StandardRoIHead, levels: tuple[Tensor, ...], rois: Tensor) -> BoxForward:
    """Run RoIs through a head, given the neck's levels."""
    return _named(rois, roi_head._bbox_forward(levels, rois))


@contextmanager
def recorded(roi_head: StandardRoIHead) -> Iterator[list[BoxForward]]:
    """Collect the passes that the head makes inside, leaving what it computes untouched."""
    passes: list[BoxForward] = []
    plain = roi_head._bbox_forward

    def forward(levels: tuple[Tensor, ...], rois: Tensor) -> dict[str, Any]:
        results = plain(levels, rois)
        passes.append(_named(rois, results))
        return results

    roi_head._bbox_forward = forward
    try:
        yield passes
    finally:
        del roi_head._bbox_forward


def _named(rois: Tensor, results: dict[str, Any]) -> BoxForward:
    return BoxForward(rois, results["bbox_feats"], results["cls_score"], results["bbox_pred"])


Losses = dict[str, Tensor]
Term = Callable[[BoxForward, BoxForward], Tensor]


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
        teacher: TwoStageDetector | None,
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
        if self._terms:
            losses.update(self._distil(inputs, passes[-1]))
        if self.settings.bn_weight:
            weight = float(self.settings.bn_weight)
            losses["loss_bn"] = weight * bn_sparsity_loss(bn_weights(self.student.backbone))
        return losses

    def _distil(self, inputs: Tensor, student: BoxForward) -> Losses:
        assert self.teacher is not None
        with torch.no_grad():
            levels = self.teacher.extract_feat(inputs)
            teacher = box_forward(self.teacher.roi_head, levels, student.rois.detach())
        part = share_of_mean(len(student.rois))  # every term is a mean over RoIs
        return {
            f"loss_distill_{name}": weight * part * term(student, teacher)
            for name, (weight, term) in self._terms.items()
        }

    def _weighted_terms(self) -> dict[str, tuple[float, Term]]:
        """The terms in use: a term of weight zero is not computed at all."""
        settings = self.settings
        terms: dict[str, tuple[float, Term]] = {}
        if settings.features != "None":
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


def _check(student: TwoStageDetector, teacher: TwoStageDetector, settings: Distillation) -> None:
    ours, theirs = student.roi_head.bbox_head, teacher.roi_head.bbox_head
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
    for field in ("means", "stds"):
        own, other = getattr(ours.bbox_coder, field), getattr(theirs.bbox_coder, field)
        if tuple(own) != tuple(other):
            raise IncompatibleTeacher(
                f"teacher: box coder {field} {tuple(other)}, the student's are {tuple(own)}",
                "deltas can be compared in the same units only",
            )
