"""The evolvable backbone: mmdet's ResNet where the encoding says so, any legal one otherwise."""

import ast
import importlib.util
from pathlib import Path

import pytest
import torch
from mmdet.models.backbones import MobileNetV2, ResNet, ResNeXt
from mmdet.registry import MODELS

import detnas_trainer.backbone
from detnas.architecture import Architecture, Family, parse
from detnas.spec.base import Model, model_architecture
from detnas_trainer.backbone import EvolvableBackbone
from detnas_trainer.detector_config import backbone_config
from detnas_trainer.evolve.tensors import expected_tensors

IMAGE = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))

PAIRS = "[(5, 6)-(4, 6)-(8, 12)], [(9, 10)], [(7, 10)-(5, 14)-(6, 14)], [(8, 14)]"
TRIPLES = "[(4, 5, 16)-(3, 4, 20)], [(6, 6, 20)-(5, 7, 20)], [(8, 8, 12)], [(4, 4, 12)-(4, 4, 24)]"
GROUPED = "[(4, 4, 16)-(8, 8, 20)], [(4, 4, 20)], [(6, 6, 20)-(8, 8, 12)], [(8, 8, 12)]"
MIXED = {
    "basic": parse(PAIRS, stem=6),
    "bottleneck": parse(TRIPLES, stem=6),
    "resnext": parse(GROUPED, Family.RESNEXT, stem=6, group_widths=[[4, 2], [1], [3, 8], [2]]),
    "mobilenetv2": parse(PAIRS, Family.MOBILENET_V2, stem=6),
}


def standard(depth: int) -> Architecture:
    blocks = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}[depth]
    expansion = (1, 4) if depth == 50 else (1,)
    inner = 1 if depth == 18 else 2

    def stage(width: int, number: int) -> str:
        widths = ", ".join(map(str, (*(width,) * inner, width * expansion[-1])))
        return "[" + "-".join([f"({widths})"] * number) + "]"

    return parse(", ".join(stage(64 * 2**i, number) for i, number in enumerate(blocks)))


def build(architecture: Architecture, **settings: object) -> EvolvableBackbone:
    config = backbone_config(architecture) | settings
    del config["type"]
    backbone = EvolvableBackbone(**config)
    backbone.init_weights()
    return backbone


def randomise_norms(module: torch.nn.Module) -> None:
    for norm in module.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(norm.weight)
            torch.nn.init.normal_(norm.bias)
            torch.nn.init.uniform_(norm.get_buffer("running_var"), 0.5, 2)


def x50() -> Architecture:
    stages = [
        "-".join([f"({128 << i}, {128 << i}, {256 << i})"] * depth)
        for i, depth in enumerate((3, 4, 6, 3))
    ]
    return parse(", ".join(f"[{stage}]" for stage in stages), Family.RESNEXT)


@pytest.mark.parametrize("name", ["R18", "R50", "X50"])
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_stock_checkpoint_gives_the_same_features(name: str, training: bool) -> None:
    if name == "X50":
        stock = ResNeXt(depth=50, groups=32, base_width=4, norm_eval=False)
    else:
        stock = ResNet(int(name[1:]), norm_eval=False)
    randomise_norms(stock)
    ours = build(x50() if name == "X50" else standard(int(name[1:])))
    ours.load_state_dict(stock.state_dict())

    stock.train(training)
    ours.train(training)

    with torch.no_grad():
        expected, found = stock(IMAGE), ours(IMAGE)

    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


MOBILE_LAYERS = {
    f"layer{layer}.{block}": f"layer{stage}.{block + before}"
    for layer, stage, before, blocks in [
        (2, 1, 0, 2),
        (3, 2, 0, 3),
        (4, 3, 0, 4),
        (5, 3, 4, 3),
        (6, 4, 0, 3),
        (7, 4, 3, 1),
    ]
    for block in range(blocks)
}
MOBILE_PARTS = {
    "conv1.conv": "conv1",
    "conv1.bn": "bn1",
    "conv2.conv": "conv2",
    "conv2.bn": "bn2",
    "layer1.0.depthwise_conv.conv": "stem_block.conv1",
    "layer1.0.depthwise_conv.bn": "stem_block.bn1",
    "layer1.0.linear_conv.conv": "stem_block.conv2",
    "layer1.0.linear_conv.bn": "stem_block.bn2",
    **{
        f"{theirs}.{convolution}.{part}": f"{ours}.{short}{number}"
        for theirs, ours in MOBILE_LAYERS.items()
        for number, convolution in enumerate(("expand_conv", "depthwise_conv", "linear_conv"), 1)
        for part, short in (("conv", "conv"), ("bn", "bn"))
    },
}
"""mmdet's layers by our names."""


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_stock_mobilenetv2_gives_the_same_features_under_our_names(training: bool) -> None:
    stock = MobileNetV2(out_indices=(1, 2, 4, 7))
    randomise_norms(stock)
    state = {
        f"{MOBILE_PARTS[layer]}.{kind}": value
        for name, value in stock.state_dict().items()
        for layer, _, kind in [name.rpartition(".")]
    }
    ours = build(model_architecture(Model.MOBILENET_V2))
    ours.load_state_dict(state)

    stock.train(training)
    ours.train(training)

    with torch.no_grad():
        expected, found = stock(IMAGE), ours(IMAGE)

    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize("architecture", MIXED.values(), ids=MIXED)
def test_any_encoding_gives_features_of_its_widths(architecture: Architecture) -> None:
    features = build(architecture)(IMAGE)
    assert [tuple(f.shape[1:]) for f in features] == [
        (width, 64 // stride, 96 // stride)
        for width, stride in zip(architecture.neck_inputs, (4, 8, 16, 32), strict=True)
    ]


@pytest.mark.parametrize("architecture", MIXED.values(), ids=MIXED)
def test_tensors_are_those_of_the_architecture(architecture: Architecture) -> None:
    blocks = {
        f"backbone.{name}": value.shape
        for name, value in build(architecture).state_dict().items()
        if name.startswith("layer")
    }
    assert blocks == {name: value.shape for name, value in expected_tensors(architecture).items()}


def test_initialisation_follows_mmdets_resnet() -> None:
    torch.manual_seed(0)
    stock = ResNet(18)
    stock.init_weights()
    ours = build(standard(18)).state_dict()
    for name, value in stock.state_dict().items():
        if value.dim() == 4:
            assert ours[name].std().item() == pytest.approx(value.std().item(), rel=0.1)
        else:
            assert torch.equal(ours[name], value)


def test_sliced_tensors_run_through_a_wider_backbone() -> None:
    wide = build(parse("[(8, 8, 16)], [(8, 8, 16)], [(8, 8, 16)], [(8, 8, 16)]", stem=8)).eval()
    thin = build(parse("[(4, 4, 8)], [(4, 4, 8)], [(4, 4, 8)], [(4, 4, 8)]", stem=4)).eval()
    with torch.no_grad():
        found = torch.func.functional_call(wide, thin.state_dict(), IMAGE)
        expected = thin(IMAGE)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_mobilenetv2_starts_with_no_norm_at_zero() -> None:
    state = build(MIXED["mobilenetv2"]).state_dict()
    scales = [value for name, value in state.items() if ".bn" in name and name.endswith("weight")]
    assert scales
    assert all((scale == 1).all() for scale in scales)


@pytest.mark.parametrize("zero", [True, False])
@pytest.mark.parametrize("depth", [18, 50])
def test_residual_branches_begin_as_mmdets_do(depth: int, zero: bool) -> None:
    stock = ResNet(depth, zero_init_residual=zero)
    stock.init_weights()
    ours = build(standard(depth), zero_init_residual=zero).state_dict()
    scales = {name: p for name, p in stock.named_parameters() if p.ndim == 1}
    assert all(torch.equal(ours[name], scale) for name, scale in scales.items())


@pytest.mark.parametrize("name", ["basic", "mobilenetv2"])
def test_frozen_stages_do_not_train(name: str) -> None:
    backbone = build(MIXED[name], frozen_stages=1).train()
    trainable = {name.split(".")[0] for name, p in backbone.named_parameters() if p.requires_grad}
    head = {"conv2", "bn2"} if name == "mobilenetv2" else set()
    assert trainable == {"layer2", "layer3", "layer4"} | head
    mean = backbone.bn1.get_buffer("running_mean")
    before = mean.clone()
    backbone(IMAGE)
    assert torch.equal(mean, before)


def test_norm_eval_keeps_the_statistics() -> None:
    backbone = build(MIXED["basic"], norm_eval=True).train()
    before = {name: value.clone() for name, value in backbone.named_buffers()}
    backbone(IMAGE)
    assert all(torch.equal(before[name], value) for name, value in backbone.named_buffers())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"family": "Dense"}, "family: 'Dense'"),
        ({"stages": [[[4, 8]]]}, "4 stages"),
        ({"stages": [[[4, 8]], [[4, 8]], [], [[4, 8]]]}, r"\[1, 1, 0, 1\]"),
        ({"stages": [[[4, 4, 8]]] * 4}, "3 widths"),
        ({"family": "MobileNetV2", "stages": [[[4, 4, 8]]] * 4}, "3 widths"),
        ({"family": "ResNeXt", "stages": [[[4, 4, 8]]] * 4}, "group_widths: a ResNeXt has them"),
        ({"group_widths": [[4]] * 4}, "group_widths: a ResNeXt has them, and no other"),
        ({"frozen_stages": 5}, "frozen_stages: 5"),
    ],
)
def test_wrong_settings_are_refused(settings: dict, message: str) -> None:
    good = {"family": "Basic", "stem": 8, "stages": [[[4, 8]]] * 4}
    with pytest.raises(ValueError, match=message):
        EvolvableBackbone(**good | settings)


def test_backbone_file_imports_nothing_of_the_project() -> None:
    tree = ast.walk(ast.parse(Path(detnas_trainer.backbone.__file__).read_text()))
    imported = set()
    for node in tree:
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "a relative import").split(".")[0])
    assert imported == {"collections", "mmdet", "mmengine", "torch", "torchvision"}


def test_copy_of_the_file_may_be_imported_beside_it(tmp_path: Path) -> None:
    copy = tmp_path / "exported_backbone.py"
    copy.write_bytes(Path(detnas_trainer.backbone.__file__).read_bytes())
    specification = importlib.util.spec_from_file_location("exported_backbone", copy)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
        assert MODELS.get("EvolvableBackbone") is module.EvolvableBackbone
    finally:
        MODELS.register_module(module=EvolvableBackbone, force=True)
