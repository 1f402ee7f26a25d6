"""Thin detectors with random weights, and their outputs, for the tests of f_evolve."""

import torch
from mmdet.models.detectors import TwoStageDetector
from torch import Tensor, nn

from detnas.architecture import Architecture, Family, parse
from detnas.records.settings import DetectorShape
from detnas_trainer.detector import build_detector, load_detector

SHAPE = DetectorShape(neck=8, fc=16, proposals=20, roi_samples=8, anchor_scale=4)
CLASSES = 3
IMAGE = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(5))

BASIC = parse(
    "[(9, 16)-(10, 16)], [(12, 20)-(13, 20)-(11, 20)], [(14, 24)-(12, 24)], [(16, 28)-(15, 28)]",
    stem=16,
)
BOTTLENECK = parse(
    "[(8, 9, 16)-(9, 8, 16)-(10, 9, 16)], [(12, 11, 24)-(10, 10, 24)], "
    "[(12, 12, 28)-(11, 13, 28)], [(13, 13, 32)-(12, 14, 32)]",
    stem=12,
)
MOVED = parse(
    "[(9, 16)-(10, 20)], [(12, 20)-(13, 24)-(11, 24)], [(14, 30)], [(16, 28)-(9, 28)]", stem=16
)
"""Projections mid-stage, as after rearranging: into the second blocks of stages 1 and 2."""

RESNEXT = parse(
    "[(8, 8, 16)-(8, 8, 16)-(12, 12, 16)], [(12, 12, 24)-(16, 16, 24)], "
    "[(18, 18, 28)-(12, 12, 28)], [(24, 24, 32)-(16, 16, 32)]",
    Family.RESNEXT,
    stem=12,
    group_widths=[[4, 4, 4], [4, 8], [6, 6], [8, 4]],
)
MOBILENET_V2 = parse(
    "[(12, 8)-(14, 8)-(13, 8)], [(12, 12)-(18, 12)], [(18, 14)-(14, 14)-(15, 18)], "
    "[(18, 20)-(20, 20)-(22, 24)]",
    Family.MOBILENET_V2,
    stem=6,
)
STUDENTS = {
    "basic": BASIC,
    "bottleneck": BOTTLENECK,
    "resnext": RESNEXT,
    "mobilenetv2": MOBILENET_V2,
    "moved": MOVED,
}
"""One of every family, and one with projections mid-stage."""


def random_state(architecture: Architecture, seed: int = 0) -> dict[str, Tensor]:
    """Weights as after some training: no batch norm is an identity, no gamma is zero."""
    torch.manual_seed(seed)
    detector = build_detector(architecture, SHAPE, CLASSES)
    for module in detector.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.3, 1.2)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.get_buffer("running_mean"), std=0.2)
            nn.init.uniform_(module.get_buffer("running_var"), 0.5, 2.0)
    return detector.state_dict()


def detector(architecture: Architecture, state: dict[str, Tensor]) -> TwoStageDetector:
    """The detector with exactly these weights."""
    return load_detector(architecture, SHAPE, CLASSES, state)


@torch.no_grad()
def outputs(architecture: Architecture, state: dict[str, Tensor]) -> list[Tensor]:
    """Everything the detector says of one image: RPN maps, and the box head on fixed RoIs."""
    model = detector(architecture, state).eval()
    features = model.extract_feat(IMAGE)
    scores, deltas = model.rpn_head(features)
    corners = torch.tensor([[0.0, 4, 4, 30, 40], [0, 20, 10, 63, 63], [0, 0, 0, 12, 12]])
    head = model.roi_head
    regions = head.bbox_roi_extractor(features[: head.bbox_roi_extractor.num_inputs], corners)
    return [*scores, *deltas, *head.bbox_head(regions)]


def same_outputs(
    before: tuple[Architecture, dict[str, Tensor]], after: tuple[Architecture, dict[str, Tensor]]
) -> bool:
    """Whether two detectors say the same, to float precision."""
    return all(
        torch.allclose(a, b, rtol=1e-4, atol=1e-5)
        for a, b in zip(outputs(*before), outputs(*after), strict=True)
    )
