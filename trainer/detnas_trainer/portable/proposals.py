"""The RPN's proposals for any number of images, as mmdet's RPN head selects them."""

from typing import Any

import torch
from torch import Tensor, nn

from detnas_trainer.portable.boxes import BoxDecoder, LevelAnchors
from detnas_trainer.portable.suppression import Suppress


class Proposals(nn.Module):
    """From the RPN's maps to proposals.

    Args:
        rpn: mmdet's RPN head.
        suppress: non-maximum suppression.
    """

    def __init__(self, rpn: Any, suppress: Suppress) -> None:
        super().__init__()
        generator, settings = rpn.prior_generator, rpn.test_cfg
        self.anchors = nn.ModuleList(
            LevelAnchors(base, stride[0])
            for base, stride in zip(generator.base_anchors, generator.strides, strict=True)
        )
        self.decode = BoxDecoder(tuple(rpn.bbox_coder.stds))
        self.suppress = suppress
        self.before_suppression: int = settings.nms_pre
        self.number: int = settings.max_per_img
        self.iou: float = settings.nms.iou_threshold

    def forward(
        self, logits: list[Tensor], deltas: list[Tensor], limits: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Proposals (N × P × 4), and whether each is one (N × P); those that are none are 0.

        Args:
            logits: of each level, N × A × H × W.
            deltas: of each level, N × 4A × H × W.
            limits: of each image: width, height, width, height in pixels; N × 4.
        """
        found = [
            self._of_level(level, *maps, limits[:, None])
            for level, maps in enumerate(zip(logits, deltas, strict=True))
        ]
        # All levels have as many candidates, so that all are suppressed at once, each by itself.
        boxes = torch.stack([one for one, _ in found], dim=1)
        scores = torch.stack([one for _, one in found], dim=1)
        kept = self.suppress(boxes.flatten(0, 1), scores.flatten(0, 1), self.iou, 0.0, self.number)
        best, places = kept.reshape(boxes.shape[0], -1).topk(self.number, dim=1)
        exists = best > 0
        chosen = boxes.flatten(1, 2).gather(1, places[..., None].expand(-1, -1, 4))
        return chosen * exists[..., None], exists

    def _of_level(
        self, level: int, logits: Tensor, deltas: Tensor, limits: Tensor
    ) -> tuple[Tensor, Tensor]:
        images, each, height, width = logits.shape
        count = height * width * each  # stated, because the tracer infers a -1 slowly
        scores = logits.permute(0, 2, 3, 1).reshape(images, count).sigmoid()
        changes = deltas.permute(0, 2, 3, 1).reshape(images, count, 4)
        anchors = self.anchors[level](height, width)
        # Small levels have fewer anchors than are asked for: the rest is filled with nothing.
        padded = nn.functional.pad(scores, (0, self.before_suppression))
        best, places = padded.topk(self.before_suppression, dim=1)
        places = places.clamp(max=anchors.shape[0] - 1)
        chosen = changes.gather(1, places[..., None].expand(-1, -1, 4))
        boxes = self.decode(anchors[places], chosen, limits)
        has_area = (boxes[..., 2:] > boxes[..., :2]).all(dim=-1)
        return boxes, best * has_area
