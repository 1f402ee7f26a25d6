"""FLOPs of the built model by the paper's counting; the pure count has to equal it."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.hub import get_config
from mmengine.registry import DefaultScope
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import mobilenet_v2

from detnas.architecture import Architecture, parse
from detnas.cost import detector_cost
from detnas.records.settings import DetectorShape, HeadKind, Resolution
from detnas.spec.base import Model, model_architecture
from detnas_trainer.detector_config import detector_config
from detnas_trainer.roi_head import box_heads
from tests.detnas import appendix_b
from tests.trainer.evolve.students import STUDENTS


class Operations(TorchDispatchMode):
    """Adds up what torch carries out: multiply-accumulates, biases, norms and ReLUs."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0
        self.multiplied = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name == "convolution":
            weight, bias = args[1:3]
            self.multiplied += made.numel() * weight[0].numel()
            self.flops += made.numel() * (weight[0].numel() + (bias is not None))
        elif name == "addmm":
            self.multiplied += made.numel() * args[1].shape[1]
            self.flops += made.numel() * (args[1].shape[1] + 1)
        elif "batch_norm" in name:
            self.flops += 2 * made[0].numel()
        elif name in {"relu", "relu_", "hardtanh", "hardtanh_"}:
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

    side = shape.roi_size
    with torch.device("meta"):
        image = torch.empty(1, 3, height, width)
        regions = torch.empty(1000, shape.neck, side, side)
    levels = run("neck", model.neck, run("backbone", model.backbone, image))
    run("rpn", model.rpn_head, levels)
    heads = box_heads(model.roi_head)
    run("box head", lambda regions: [head(regions) for head in heads], regions)
    return flops


@pytest.mark.parametrize(
    ("architecture", "size", "billions"),
    [
        (model_architecture(Model.R18), (1333, 800), 160.5),
        (model_architecture(Model.R50), (1333, 800), 215.8),
        (model_architecture(Model.X101), (1280, 800), 286.9),
        (parse(appendix_b.R18), (1080, 720), 117.3),
        (parse(appendix_b.R50), (1080, 720), 145.7),
        (parse(appendix_b.R101), (1080, 720), 153.9),
    ],
    ids=["R18", "R50", "X101", "searched R18", "searched R50", "searched R101"],
)
def test_built_detector_costs_what_the_paper_prints(
    architecture: Architecture, size: tuple[int, int], billions: float
) -> None:
    flops = measured(architecture, *size, DetectorShape(), 80)
    assert sum(flops.values()) / 1e9 == pytest.approx(billions, rel=2e-3)


@pytest.mark.parametrize(("model", "billions"), [(Model.R50, 84.1), (Model.R101, 160.2)])
def test_built_backbone_costs_what_table_2_prints(model: Model, billions: float) -> None:
    flops = measured(model_architecture(model), 1280, 800, DetectorShape(), 80)
    assert flops["backbone"] / 1e9 == pytest.approx(billions, rel=2e-3)


@pytest.mark.parametrize("size", [(1333, 800), (97, 61)], ids=str)
@pytest.mark.parametrize(
    ("architecture", "shape", "classes"),
    [
        (model_architecture(Model.R101), DetectorShape(), 80),
        (parse(appendix_b.R50), DetectorShape(neck=192), 3),
        (model_architecture(Model.R50), DetectorShape(head=HeadKind.CASCADE), 80),
        (
            model_architecture(Model.R18),
            DetectorShape(neck=64, roi_size=5, anchor_scales=(4, 8), anchor_ratios=(Decimal(1),)),
            3,
        ),
        (model_architecture(Model.X101), DetectorShape(), 80),
        (model_architecture(Model.MOBILENET_V2), DetectorShape(), 80),
        *((student, DetectorShape(neck=24, fc=48), 10) for student in STUDENTS.values()),
    ],
    ids=["R101", "searched R50", "Cascade", "two anchors", "X101", "MobileNetV2", *STUDENTS],
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


@pytest.mark.parametrize("size", [(1333, 800), (97, 61)], ids=str)
def test_mobilenetv2_multiplies_what_torch_counts_of_torchvisions(size: tuple[int, int]) -> None:
    ours = built(model_architecture(Model.MOBILENET_V2), DetectorShape(), 80).backbone.eval()
    with torch.device("meta"):
        theirs, image = mobilenet_v2().features.eval(), torch.empty(1, 3, size[1], size[0])
    with FlopCounterMode(display=False) as counter:
        theirs(image)
    with Operations() as operations:
        ours(image)
    assert 2 * operations.multiplied == counter.get_total_flops()  # torch counts two a product


@pytest.mark.parametrize("size", [(1333, 800), (97, 61)], ids=str)
def test_cascade_multiplies_what_torch_counts_of_mmdets(size: tuple[int, int]) -> None:
    stock = get_config("mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py").model
    stock.backbone.init_cfg = None
    with torch.device("meta"), DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(stock)
        image, regions = torch.empty(1, 3, size[1], size[0]), torch.empty(1000, 256, 7, 7)
    with FlopCounterMode(display=False) as counter:
        model.rpn_head(model.neck(model.backbone(image)))
        for head in model.roi_head.bbox_head:
            head(regions)
    shape = DetectorShape(head=HeadKind.CASCADE)
    ours = built(model_architecture(Model.R50), shape, 80)
    with Operations() as operations:
        ours.rpn_head(ours.neck(ours.backbone(image)))
        for head in ours.roi_head.bbox_head:
            head(regions)
    resolution = Resolution(width=size[0], height=size[1])
    assert 2 * operations.multiplied == counter.get_total_flops()  # torch counts two a product
    cost = detector_cost(model_architecture(Model.R50), shape, 80, resolution)
    assert cost.flops == operations.flops
    assert cost.parameters == sum(p.numel() for p in model.parameters())
