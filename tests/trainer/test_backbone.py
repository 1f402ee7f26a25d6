"""The evolvable backbone: mmdet's ResNet where the encoding says so, any legal one otherwise."""

import ast
import importlib.util
from pathlib import Path

import pytest
import torch
from mmdet.models.backbones import ResNet
from mmdet.registry import MODELS

import detnas_trainer.backbone
from detnas.architecture import Architecture, parse
from detnas_trainer.backbone import EvolvableBackbone
from detnas_trainer.detector import backbone_config
from detnas_trainer.evolve.tensors import expected_tensors

IMAGE = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))

MIXED = (
    "[(5, 6)-(4, 6)-(8, 12)], [(9, 10)], [(7, 10)-(5, 14)-(6, 14)], [(8, 14)]",
    "[(4, 5, 16)-(3, 4, 20)], [(6, 6, 20)-(5, 7, 20)], [(8, 8, 12)], [(4, 4, 12)-(4, 4, 24)]",
)


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


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_stock_resnet_checkpoint_gives_the_same_features(depth: int, training: bool) -> None:
    stock = ResNet(depth, norm_eval=False)
    for module in stock.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight)
            torch.nn.init.normal_(module.bias)
            torch.nn.init.uniform_(module.get_buffer("running_var"), 0.5, 2)
    ours = build(standard(depth))
    ours.load_state_dict(stock.state_dict())

    stock.train(training)
    ours.train(training)

    with torch.no_grad():
        expected, found = stock(IMAGE), ours(IMAGE)

    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize("text", MIXED)
def test_any_encoding_gives_features_of_its_widths(text: str) -> None:
    architecture = parse(text, stem=6)
    features = build(architecture)(IMAGE)
    assert [tuple(f.shape[1:]) for f in features] == [
        (width, 64 // stride, 96 // stride)
        for width, stride in zip(architecture.stage_outputs, (4, 8, 16, 32), strict=True)
    ]


@pytest.mark.parametrize("text", MIXED)
def test_tensors_are_those_of_the_architecture(text: str) -> None:
    architecture = parse(text, stem=6)
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


def test_frozen_stages_do_not_train() -> None:
    backbone = build(parse(MIXED[0], stem=6), frozen_stages=1).train()
    trainable = {name.split(".")[0] for name, p in backbone.named_parameters() if p.requires_grad}
    assert trainable == {"layer2", "layer3", "layer4"}
    mean = backbone.bn1.get_buffer("running_mean")
    before = mean.clone()
    backbone(IMAGE)
    assert torch.equal(mean, before)


def test_norm_eval_keeps_the_statistics() -> None:
    backbone = build(parse(MIXED[0], stem=6), norm_eval=True).train()
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
    assert imported == {"collections", "mmdet", "mmengine", "torch"}


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
