"""Boxes from deltas, and anchors of a level, as mmdet computes them, for any number of images."""

import math

import torch
from torch import Tensor, nn

_MAX_LOG_RATIO = abs(math.log(16 / 1000))
"""Of mmdet's box coder: no side grows or shrinks by more than this, as a logarithm."""


class BoxDecoder(nn.Module):
    """Applies deltas to boxes, and clips the result at the image's border.

    Args:
        stds: that the deltas are multiplied with: x, y, width, height.
    """

    stds: Tensor

    def __init__(self, stds: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("stds", torch.tensor(stds), persistent=False)

    def forward(self, boxes: Tensor, deltas: Tensor, limits: Tensor) -> Tensor:
        """Return boxes, … × 4: left, top, right, bottom.

        Args:
            boxes: … × 4.
            deltas: … × 4.
            limits: of the image: width, height, width, height in pixels; shaped to broadcast.
        """
        deltas = deltas * self.stds
        centres = (boxes[..., :2] + boxes[..., 2:]) * 0.5
        sides = boxes[..., 2:] - boxes[..., :2]
        centres = centres + sides * deltas[..., :2]
        sides = sides * deltas[..., 2:].clamp(-_MAX_LOG_RATIO, _MAX_LOG_RATIO).exp()
        corners = torch.cat([centres - sides * 0.5, centres + sides * 0.5], dim=-1)
        return torch.minimum(corners.clamp(min=0), limits)


class LevelAnchors(nn.Module):
    """All anchors of one level.

    Args:
        base: anchors around the origin, A × 4.
        stride: of the level, in pixels.
    """

    base: Tensor

    def __init__(self, base: Tensor, stride: int) -> None:
        super().__init__()
        self.register_buffer("base", base.clone(), persistent=False)
        self.stride = stride

    def forward(self, height: int, width: int) -> Tensor:
        """Anchors of a map, (height · width · A) × 4: row by row."""
        device = self.base.device
        x = torch.arange(width, device=device, dtype=torch.float32) * self.stride
        y = torch.arange(height, device=device, dtype=torch.float32) * self.stride
        across, down = x.repeat(height), y[:, None].expand(height, width).reshape(-1)
        moves = torch.stack([across, down, across, down], dim=-1)
        return (moves[:, None] + self.base).reshape(-1, 4)
