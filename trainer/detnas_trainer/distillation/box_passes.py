"""Passes of RoIs through the box heads of a detector."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from detnas_trainer.openmmlab import BaseRoIHead, CascadeRoIHead


@dataclass(slots=True)
class BoxForward:
    """One pass of RoIs through a box head.

    Attributes:
        levels: N × neck × H × W for each of the neck's levels.
        rois: RoIs × 5: image index and box corners, in pixels of the network's input.
        features: RoIs × neck × 7 × 7, after RoI align.
        logits: RoIs × (classes + 1), background last.
        deltas: RoIs × 4·classes, or RoIs × 4 of a head with one box for all classes.
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
