"""FLOPs of the built model by the paper's counting; the pure count has to equal it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from torch.utils._python_dispatch import TorchDispatchMode

from bench.evolve import resnet
from detnas.architecture import Architecture, parse
from detnas.cost import detector_cost
from detnas.records.settings import DetectorShape, Resolution
from detnas_trainer.detector import detector_config
from tests.detnas import appendix_b
from tests.trainer.evolve.students import BASIC, BOTTLENECK, MOVED


class Operations(TorchDispatchMode):
    """Adds up what torch carries out: multiply-accumulates, biases, norms and ReLUs."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name == "convolution":
            weight, bias = args[1:3]
            self.flops += made.numel() * (weight[0].numel() + (bias is not None))
        elif name == "addmm":
            self.flops += made.numel() * (args[1].shape[1] + 1)
        elif "batch_norm" in name:
            self.flops += 2 * made[0].numel()
        elif name in {"relu", "relu_"}:
            self.flops += made.numel()
        return made


def built(architecture: Architecture, shape: DetectorShape, classes: int) -> Any:
    """The detector without data (meta device)."""
    with torch.device("meta"), DefaultScope.overwrite_default_scope("mmdet"):
        return MODELS.build(ConfigDict(detector_config(architecture, shape, classes)))


@torch.no_grad()
def measured(
    architecture: Architecture, width: int, height: int, shape: DetectorShape, classes: int
) -> dict[str, int]:
    """FLOPs of each part of the built model, for one image and 1000 proposals."""
    model = built(architecture, shape, classes)
    flops = {}

    def run(part: str, forward: Callable[[Any], Any], given: Any) -> Any:
        with Operations() as operations:
            made = forward(given)
        flops[part] = operations.flops
        return made

    with torch.device("meta"):
        image, regions = torch.empty(1, 3, height, width), torch.empty(1000, shape.neck, 7, 7)
    levels = run("neck", model.neck, run("backbone", model.backbone, image))
    run("rpn", model.rpn_head, levels)
    run("box head", model.roi_head.bbox_head, regions)
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
def test_built_detector_costs_what_the_paper_prints(
    architecture: Architecture, size: tuple[int, int], billions: float
) -> None:
    flops = measured(architecture, *size, DetectorShape(), 80)
    assert sum(flops.values()) / 1e9 == pytest.approx(billions, rel=2e-3)


@pytest.mark.parametrize(("name", "billions"), [("r50", 84.1), ("r101", 160.2)])
def test_built_backbone_costs_what_table_2_prints(name: str, billions: float) -> None:
    flops = measured(resnet(name), 1280, 800, DetectorShape(), 80)
    assert flops["backbone"] / 1e9 == pytest.approx(billions, rel=2e-3)


@pytest.mark.parametrize("size", [(1333, 800), (97, 61)], ids=str)
@pytest.mark.parametrize(
    ("architecture", "shape", "classes"),
    [
        (resnet("r101"), DetectorShape(), 80),
        (parse(appendix_b.R50), DetectorShape(neck=192), 3),
        (BASIC, DetectorShape(neck=24, fc=48), 10),
        (BOTTLENECK, DetectorShape(neck=24, fc=48), 10),
        (MOVED, DetectorShape(neck=24, fc=48), 10),
    ],
    ids=["R101", "searched R50", "basic", "bottleneck", "moved"],
)
def test_pure_count_equals_the_built_models(
    architecture: Architecture, shape: DetectorShape, classes: int, size: tuple[int, int]
) -> None:
    resolution = Resolution(width=size[0], height=size[1])
    cost = detector_cost(architecture, shape, classes, resolution)
    flops = measured(architecture, *size, shape, classes)
    parameters = sum(p.numel() for p in built(architecture, shape, classes).parameters())
    parts = {part: cost.parts[part].flops for part in ("neck", "rpn", "box head")}
    assert parts | {"backbone": cost.backbone.flops} == flops
    assert cost.flops == sum(flops.values())
    assert cost.parameters == parameters
