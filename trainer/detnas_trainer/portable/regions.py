"""Features of RoIs, each from the level that fits its size, as mmdet's SingleRoIExtractor."""

from typing import Any

import torch
from torch import Tensor, nn


class RegionFeatures(nn.Module):
    """RoIAlign on the level of each RoI.

    Args:
        extractor: mmdet's SingleRoIExtractor; its layers' settings are taken over.
    """

    def __init__(self, extractor: Any) -> None:
        super().__init__()
        self.finest: int = extractor.finest_scale
        self.forms = [
            (
                layer.spatial_scale,
                *layer.output_size,
                layer.sampling_ratio,
                layer.aligned,
            )
            for layer in extractor.roi_layers
        ]

    def forward(self, levels: tuple[Tensor, ...], boxes: Tensor) -> Tensor:
        """Features, (N · P) × C × h × w.

        Args:
            levels: feature maps, N × C × H × W of 32 bits.
            boxes: N × P × 4, in pixels.
        """
        images, count = boxes.shape[:2]
        numbers = torch.arange(images, device=boxes.device, dtype=boxes.dtype)
        owners = numbers[:, None].expand(images, count).reshape(-1, 1)
        rois = torch.cat([owners, boxes.reshape(-1, 4)], dim=1)
        fitting = self._fitting(rois)
        _, height, width, *_ = self.forms[0]
        features = levels[0].new_zeros(images * count, levels[0].shape[1], height, width)
        for number, (level, form) in enumerate(zip(levels, self.forms, strict=False)):
            rows = (fitting == number).nonzero().squeeze(1)
            found = torch.ops.torchvision.roi_align(level, rois[rows], *form)
            features = features.index_put((rows,), found)
        return features

    def _fitting(self, rois: Tensor) -> Tensor:
        """Of each RoI the number of its level: the larger it is, the higher."""
        side = torch.sqrt((rois[:, 3] - rois[:, 1]) * (rois[:, 4] - rois[:, 2]))
        level = torch.floor(torch.log2(side / self.finest + 1e-6))
        return level.clamp(min=0, max=len(self.forms) - 1).long()
