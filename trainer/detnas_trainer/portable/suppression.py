"""Non-maximum suppression in many groups at once, with an output of a known shape.

A group is what suppresses each other: one level of the RPN in one image, one class in one image.
Both functions here return the scores of what remains, and 0 for what does not.
"""

from collections.abc import Callable
from typing import Any

import torch
import torchvision  # noqa: F401 - registers torchvision::nms
from torch import Tensor

Suppress = Callable[[Tensor, Tensor, float, float, int], Tensor]
"""Takes boxes (G × K × 4, at 0 and above), scores (G × K), the IoU above which the lower of two is
dropped, the score that must be exceeded, and how many of a group are of use; returns G × K."""


def suppress_by_torchvision(
    boxes: Tensor, scores: Tensor, iou: float, threshold: float, limit: int
) -> Tensor:
    """Suppress with torchvision's operator: groups are moved apart, so that none overlap.

    In 64 bits, where moving loses no digit of a box. `torch.export` takes it for granted that a
    number of boxes that depends on the image is at least 2: so two boxes in a group of their own
    always remain, and are left out of what is returned.
    """
    del limit  # torchvision keeps all that remain
    groups, count = scores.shape
    flat = torch.cat([scores.reshape(-1), scores.new_full((2,), threshold + 1)])
    corners = boxes.new_tensor(((0, 0, 1, 1), (2, 2, 3, 3)))
    candidates = (flat > threshold).nonzero().squeeze(1)
    span = boxes.detach().amax() + 1
    moved = torch.cat([boxes.reshape(-1, 4), corners]).double()[candidates]
    moved = moved + ((candidates // count) * span.double())[:, None]
    kept = torch.ops.torchvision.nms(moved, flat[candidates].double(), iou)
    chosen = candidates[kept]
    remaining = torch.zeros_like(flat).index_put((chosen,), flat[chosen])
    return remaining[:-2].reshape(groups, count)


@torch.library.custom_op("detnas::suppress", mutates_args=())
def suppress_by_onnx(
    boxes: Tensor, scores: Tensor, iou: float, threshold: float, limit: int
) -> Tensor:
    """Suppress as `onnx_translations` says in an ONNX file; in torch itself by torchvision."""
    return suppress_by_torchvision(boxes, scores, iou, threshold, limit)


@suppress_by_onnx.register_fake
def _shape_of(boxes: Tensor, scores: Tensor, iou: float, threshold: float, limit: int) -> Tensor:
    del boxes, iou, threshold, limit
    return torch.empty_like(scores)


def onnx_translations() -> dict[Any, Callable[..., Any]]:
    """What `torch.onnx.export` makes of the operator of this file: ONNX's own, group by group."""
    from onnxscript import opset18 as op

    def suppress(boxes: Any, scores: Any, iou: float, threshold: float, limit: int) -> Any:
        chosen = op.NonMaxSuppression(
            boxes,
            op.Unsqueeze(scores, op.Constant(value_ints=[1])),
            op.Constant(value_ints=[limit]),
            op.Constant(value_floats=[iou]),
            op.Constant(value_floats=[threshold]),
        )
        places = op.Gather(chosen, op.Constant(value_ints=[0, 2]), axis=1)
        nothing = op.Mul(scores, op.Constant(value_float=0.0))
        return op.ScatterND(nothing, places, op.GatherND(scores, places))

    return {torch.ops.detnas.suppress.default: suppress}
