"""What a student's box head saw and said during one plain training step."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from detnas_trainer.openmmlab import StandardRoIHead


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
