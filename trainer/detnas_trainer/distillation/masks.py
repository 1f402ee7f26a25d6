"""Where the neck's feature maps are compared: the forms that the paper's table 11 compares with.

A mask is a weight from 0 to 1 for each position of a level. Boxes and anchors are in pixels of the
network's input.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

ANCHOR_THRESHOLD = 0.5
"""Part of a box's best overlap that an anchor must exceed (fine-grained imitation, psi)."""


def anchor_masks(boxes: Tensor, anchors: Sequence[Tensor]) -> list[Tensor]:
    """Positions with an anchor near an object (Wang et al. 2019, fine-grained feature imitation).

    I_ij = 1 if IoU(b, a) > psi · max_a' IoU(b, a') for a box b and an anchor a of the position. The
    maximum is over all levels, so that an object marks the levels of its own size.

    Args:
        boxes: G × 4 corners of one image's objects.
        anchors: H × W × K × 4 corners for each level.

    Returns:
        H × W for each level.
    """
    every = torch.cat([level.reshape(-1, 4) for level in anchors])
    overlaps = _overlaps(boxes, every)
    best = overlaps.amax(dim=1, keepdim=True)
    near = (overlaps > ANCHOR_THRESHOLD * best).any(dim=0)
    parts = near.split([level.shape[:3].numel() for level in anchors])
    return [
        part.view(level.shape[:3]).any(dim=2).to(boxes.dtype)
        for part, level in zip(parts, anchors, strict=True)
    ]


def gaussian_mask(boxes: Tensor, size: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """A Gaussian within each object's box (Sun et al. 2020, task adaptive regularization).

    M_ij = max over boxes with (x, y) inside of exp(−(x − x_0)² / 2(w/2)² − (y − y_0)² / 2(h/2)²),
    where (x, y) is the position's centre, (x_0, y_0) the box's, and w × h the box's size: half a
    side is one standard deviation.

    Args:
        boxes: G × 4 corners of one image's objects.
        size: height and width of the level.
        stride: pixels from one of its positions to the next, in x and y.

    Returns:
        H × W.
    """
    (height, width), (step_x, step_y) = size, stride
    x = (torch.arange(width, device=boxes.device, dtype=boxes.dtype) + 0.5) * step_x
    y = (torch.arange(height, device=boxes.device, dtype=boxes.dtype) + 0.5) * step_y
    left, top, right, bottom = boxes.unbind(dim=1)
    weights = _bell(y, top, bottom)[:, :, None] * _bell(x, left, right)[:, None, :]
    nothing = weights.new_zeros(1, height, width)  # also where there is no box
    return torch.cat([weights, nothing]).amax(dim=0)


def _bell(places: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Weights along one axis, boxes × places."""
    low, high = low[:, None], high[:, None]
    deviations = (places - (low + high) / 2) / ((high - low) / 2)
    return torch.where(deviations.abs() <= 1, torch.exp(-(deviations**2) / 2), 0)


def _overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """IoU of each of G boxes with each of A others: G × A."""
    low = torch.maximum(boxes[:, None, :2], others[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = (high - low).clamp(min=0).prod(dim=2)
    areas = [(part[:, 2:] - part[:, :2]).prod(dim=1) for part in (boxes, others)]
    return common / (areas[0][:, None] + areas[1][None, :] - common)
