"""The distillation losses, each as in the paper (3.2 and 3.3)."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional


def feature_loss(adapted: Tensor, teacher: Tensor) -> Tensor:
    """L_feat: squared difference summed over channels, averaged over the RoIs' feature points.

    Args:
        adapted: RoIs × C × H × W, the student's RoI features after the adaptation function.
        teacher: RoIs × C × H × W, the teacher's.
    """
    points = adapted.shape[0] * adapted.shape[2] * adapted.shape[3]
    return functional.mse_loss(adapted, teacher, reduction="sum") / max(points, 1)


def map_loss(
    adapted: Sequence[Tensor], teacher: Sequence[Tensor], masks: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """L_feat on the neck's levels, by a mask: the sum over positions, and N_p.

    The loss is their quotient: Σ_l Σ_ij M^l_ij Σ_c (f_adap(F_S^l)_ijc − (F_T^l)_ijc)² / N_p, where
    N_p = Σ_l Σ_ij M^l_ij, over all images of the batch. So it depends neither on the images' size
    nor on how much of them is masked. Both are computed in 32 bits: the sum may be large.

    Args:
        adapted: N × C × H × W for each level, the student's maps after the adaptation function.
        teacher: the same of the teacher.
        masks: N × H × W for each level.
    """
    total = torch.stack(
        [
            (mask * (ours.float() - theirs.float()).square().sum(dim=1)).sum()
            for ours, theirs, mask in zip(adapted, teacher, masks, strict=True)
        ]
    ).sum()
    return total, torch.stack([mask.sum() for mask in masks]).sum()


def classification_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """L_cls: cross entropy of the student's class scores under the teacher's, mean over RoIs.

    Args:
        student: RoIs × (classes + 1) logits, background last.
        teacher: the same of the teacher.
    """
    scores = functional.log_softmax(student, dim=1)
    return -(teacher.softmax(dim=1) * scores).sum() / max(student.shape[0], 1)


def class_aware_localization_loss(
    student: Tensor, teacher: Tensor, teacher_logits: Tensor
) -> Tensor:
    """L_reg: difference of box deltas, weighted by the teacher's class scores, then L1.

    Deltas of every foreground class contribute, so that the teacher shows how it would place the
    box under each hypothesis; the mean is over RoIs, the four coordinates are summed.

    Args:
        student: RoIs × 4·classes deltas, one box per class.
        teacher: the same of the teacher.
        teacher_logits: RoIs × (classes + 1), background last.
    """
    probabilities = teacher_logits.softmax(dim=1)[:, :-1]
    difference = (teacher - student).view(student.shape[0], probabilities.shape[1], 4)
    weighted = torch.einsum("rc,rcd->rd", probabilities, difference)
    return weighted.abs().sum() / max(student.shape[0], 1)


def plain_localization_loss(student: Tensor, teacher: Tensor, teacher_logits: Tensor) -> Tensor:
    """The four deltas of the teacher's likeliest foreground class, L1, mean over RoIs.

    The form that the class-aware loss is compared with (paper, table 12). A head with one box for
    all classes contributes that box.

    Args:
        student: RoIs × 4·classes, or RoIs × 4, deltas.
        teacher: the same of the teacher, of either form.
        teacher_logits: RoIs × (classes + 1), background last.
    """
    rois = student.shape[0]
    difference = teacher.view(rois, -1, 4) - student.view(rois, -1, 4)
    if difference.shape[1] > 1:
        likeliest = teacher_logits[:, :-1].argmax(dim=1)
        difference = difference[torch.arange(rois, device=student.device), likeliest]
    return difference.abs().sum() / max(rois, 1)


class BoxUnits(Protocol):
    """The units of a head's box deltas, as mmdet's box coders have them."""

    means: Sequence[float]
    stds: Sequence[float]


def converted_deltas(deltas: Tensor, theirs: BoxUnits, ours: BoxUnits) -> Tensor:
    """A teacher's box deltas in the units of a student's head, so that both mean the same boxes.

    Args:
        deltas: RoIs × 4·classes, or RoIs × 4.
        theirs: units of the teacher's head.
        ours: units of the student's.
    """
    if (tuple(theirs.means), tuple(theirs.stds)) == (tuple(ours.means), tuple(ours.stds)):
        return deltas
    values = (theirs.means, theirs.stds, ours.means, ours.stds)
    means, stds, our_means, our_stds = map(deltas.new_tensor, values)
    boxes = deltas.view(len(deltas), -1, 4) * stds + means
    return ((boxes - our_means) / our_stds).view_as(deltas)


def bn_sparsity_loss(weights: Iterable[Tensor]) -> Tensor:
    """L_BN: the L1 norm of batch norm weights, which drives channels towards zero (3.3)."""
    return torch.cat([weight.flatten() for weight in weights]).abs().sum()
