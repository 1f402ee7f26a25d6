"""FLOPs of the built model by the paper's counting; the pure count has to equal it."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from bench.evolve import resnet
from detnas.architecture import Architecture, parse
from detnas.records.settings import DetectorShape
from detnas_trainer.detector import detector_config
from tests.detnas import appendix_b

PARTS = ("backbone", "neck", "rpn_head", "roi_head")
REGIONS = 1000


def operations(module: nn.Module, given: Tensor, made: Tensor) -> int:
    """Multiply-accumulates and bias of convolutions and linears; norms, ReLUs, pooling."""
    match module:
        case nn.Conv2d():
            taps = module.in_channels // module.groups * module.kernel_size[0] ** 2
            return made.numel() * (taps + (module.bias is not None))
        case nn.Linear():
            return made.numel() * (module.in_features + (module.bias is not None))
        case nn.BatchNorm2d():
            return 2 * made.numel()
        case nn.ReLU():
            return made.numel()
        case nn.MaxPool2d():
            return given.numel()
    return 0


def measured(
    architecture: Architecture, width: int, height: int, shape: DetectorShape, classes: int
) -> Counter[str]:
    """FLOPs of each part of the built model; nothing is computed (meta device)."""
    with torch.device("meta"), DefaultScope.overwrite_default_scope("mmdet"):
        model: Any = MODELS.build(ConfigDict(detector_config(architecture, shape, classes)))
        flops: Counter[str] = Counter()

        def counter(part: str) -> Callable[..., None]:
            def count(module: nn.Module, given: Any, made: Any) -> None:
                flops[part] += operations(module, given[0], made)

            return count

        for part in PARTS:
            for module in getattr(model, part).modules():
                module.register_forward_hook(counter(part))
        features = model.neck(model.backbone(torch.empty(1, 3, height, width)))
        model.rpn_head(features)
        model.roi_head.bbox_head(torch.empty(REGIONS, shape.neck, 7, 7))
    return flops


@pytest.mark.parametrize(
    ("architecture", "size", "billions"),
    [
        (resnet("r18"), (1333, 800), 160.5),
        (resnet("r50"), (1333, 800), 215.8),
        (parse(appendix_b.R18), (1080, 720), 117.3),
        (parse(appendix_b.R50), (1080, 720), 145.7),
        (parse(appendix_b.R101), (1080, 720), 153.9),
    ],
    ids=["R18", "R50", "searched R18", "searched R50", "searched R101"],
)
def test_the_built_detector_costs_what_the_paper_prints(
    architecture: Architecture, size: tuple[int, int], billions: float
) -> None:
    flops = measured(architecture, *size, DetectorShape(), 80)
    assert sum(flops.values()) / 1e9 == pytest.approx(billions, rel=2e-3)


@pytest.mark.parametrize(("name", "billions"), [("r50", 84.1), ("r101", 160.2)])
def test_the_built_backbone_costs_what_table_2_prints(name: str, billions: float) -> None:
    flops = measured(resnet(name), 1280, 800, DetectorShape(), 80)
    assert flops["backbone"] / 1e9 == pytest.approx(billions, rel=2e-3)
