"""The entire detector as one module of tensors: from uint8 images to the boxes that remain.

It computes what mmdet's detector computes, from mmdet's own layers; what mmdet does in Python for
one image after the other (anchors, proposals, RoIs, suppression) is here for any number of images
at once, in operators that ONNX and `torch.export` have.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from detnas_trainer.openmmlab import fuse_conv_bn
from detnas_trainer.portable.boxes import BoxDecoder
from detnas_trainer.portable.proposals import Proposals
from detnas_trainer.portable.regions import RegionFeatures
from detnas_trainer.portable.suppression import Suppress
from detnas_trainer.roi_head import box_heads, roi_extractors

Found = tuple[Tensor, Tensor, Tensor]
"""Boxes, scores and labels of N images; `detnas.exported.description` says what they are."""

_LAYERS = torch.float32
"""What layers compute with. What enters them is converted to it, and what leaves them to 32 bits,
so that a program says where a form of it that computes in 16 bits has to convert."""

OUTPUTS = ("boxes", "scores", "labels")


class HeadOutputs(NamedTuple):
    """What the heads compute, before any box is selected.

    Attributes:
        logits: of the RPN, of each level: N × A × H × W.
        deltas: of the RPN, of each level: N × 4A × H × W.
        levels: of the neck.
    """

    logits: list[Tensor]
    deltas: list[Tensor]
    levels: tuple[Tensor, ...]


class PortableDetector(nn.Module):
    """A detector in evaluation mode.

    Args:
        detector: mmdet's; its layers become this module's, batch normalisation in convolutions.
        suppress: non-maximum suppression.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, detector: Any, suppress: Suppress) -> None:
        super().__init__()
        preprocessor, head = detector.data_preprocessor, detector.roi_head
        self.register_buffer("mean", preprocessor.mean.clone(), persistent=False)
        self.register_buffer("std", preprocessor.std.clone(), persistent=False)
        self.takes_rgb: bool = preprocessor._channel_conversion  # mmdet reads BGR
        self.divisor: int = preprocessor.pad_size_divisor
        self.backbone, self.neck, self.rpn = detector.backbone, detector.neck, detector.rpn_head
        detector.eval()
        for part in (self.backbone, self.neck):
            fuse_conv_bn(part)
        heads = box_heads(head)
        self.heads = nn.ModuleList(heads)
        self.proposals = Proposals(self.rpn, suppress)
        self.regions = nn.ModuleList(map(RegionFeatures, roi_extractors(head)))
        self.decoders = nn.ModuleList(BoxDecoder(tuple(one.bbox_coder.stds)) for one in heads)
        self.select = _Selection(head.test_cfg, suppress)
        self.eval()

    def forward(self, images: Tensor, sizes: Tensor) -> Found:
        """Detections.

        Args:
            images: N × 3 × H × W of uint8: red, green, blue.
            sizes: height and width that each takes of H × W; N × 2 of 32 bits.
        """
        outputs = self.outputs(images, sizes)
        limits = sizes[:, [1, 0, 1, 0]]
        boxes, exists = self.proposals(outputs.logits, outputs.deltas, limits)
        levels = tuple(level.float() for level in outputs.levels)
        scores: Tensor | None = None
        last = len(self.heads) - 1
        for number, head in enumerate(self.heads):
            regions = self.regions[min(number, len(self.regions) - 1)](levels, boxes)
            logits, deltas = (part.float() for part in head(regions.to(_LAYERS)))
            logits = logits.reshape(*boxes.shape[:2], -1)
            scores = logits if scores is None else scores + logits
            deltas = deltas.reshape(*boxes.shape[:2], -1, 4)
            wide = self.decoders[number](boxes[:, :, None], deltas, limits[:, None, None])
            if number < last:  # of a cascade, which has one box for all classes
                boxes = wide[:, :, 0]
        assert scores is not None
        scores = (scores / len(self.heads)).softmax(dim=-1)[..., :-1]
        return self.select(wide, scores * exists[..., None])

    def outputs(self, images: Tensor, sizes: Tensor) -> HeadOutputs:
        """What the layers up to the RPN compute."""
        levels = self.neck(self.backbone(self._normalised(images, sizes).to(_LAYERS)))
        logits, deltas = self.rpn(levels)
        return HeadOutputs([*map(_in_32_bits, logits)], [*map(_in_32_bits, deltas)], levels)

    def _normalised(self, images: Tensor, sizes: Tensor) -> Tensor:
        """Pixels as the backbone takes them, 0 outside of each image."""
        height, width = images.shape[-2:]
        device = images.device
        rows = torch.arange(height, device=device)[None] < sizes[:, :1]
        columns = torch.arange(width, device=device)[None] < sizes[:, 1:]
        inside = rows[:, None, :, None] & columns[:, None, None, :]
        pixels = images if self.takes_rgb else images.flip(1)
        normalised = (pixels.float() - self.mean) / self.std
        return normalised * inside


class _Selection(nn.Module):
    """The best boxes of each image, after suppression in each class.

    Args:
        settings: mmdet's ``test_cfg`` of the RoI head.
        suppress: non-maximum suppression.
    """

    def __init__(self, settings: Any, suppress: Suppress) -> None:
        super().__init__()
        self.threshold: float = settings.score_thr
        self.iou: float = settings.nms.iou_threshold
        self.number: int = settings.max_per_img
        self.suppress = suppress

    def forward(self, boxes: Tensor, scores: Tensor) -> Found:
        """Detections.

        Args:
            boxes: N × P × C × 4, or N × P × 1 × 4 for all classes alike.
            scores: N × P × C.
        """
        images, count, classes = scores.shape
        by_class = scores.permute(0, 2, 1)
        wide = boxes.permute(0, 2, 1, 3).expand(-1, classes, -1, -1).reshape(-1, count, 4)
        kept = self.suppress(
            wide, by_class.reshape(-1, count), self.iou, self.threshold, self.number
        )
        best, places = kept.reshape(images, -1).topk(min(self.number, classes * count), dim=1)
        flat = wide.reshape(images, -1, 4)
        chosen = flat.gather(1, places[..., None].expand(-1, -1, 4))
        return chosen, best, places // count


def _in_32_bits(tensor: Tensor) -> Tensor:
    return tensor.float()
