"""A classifier's backbone gives the same features inside a detector, or is refused by name."""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmdet.models.backbones import MobileNetV2, ResNet
from torch import Tensor, nn
from torchvision.models import ResNet as ResNetOfTorchvision
from torchvision.models import mobilenet_v2, resnet18, resnet50
from torchvision.models.resnet import Bottleneck

from detnas.architecture import Architecture
from detnas.records.settings import DetectorShape
from detnas.spec.base import Model, model_architecture
from detnas_trainer.detector import build_detector
from detnas_trainer.foreign import read_backbone
from detnas_trainer.weights import WeightsError, save_weights
from tests.trainer.foreign.randomised import randomised

R18, R50 = model_architecture(Model.R18), model_architecture(Model.R50)
SHAPE = DetectorShape(neck=8, fc=16)


def backbone_of(architecture: Architecture) -> nn.Module:
    return build_detector(architecture, SHAPE, 3).backbone.eval()


def features_of_classifier(model: Any, images: Tensor) -> list[Tensor]:
    x = model.maxpool(model.relu(model.bn1(model.conv1(images))))
    found = []
    for number in range(1, 5):
        x = getattr(model, f"layer{number}")(x)
        found.append(x)
    return found


def check_same_features(path: Path, architecture: Architecture, expected: Callable) -> str:
    """Compare the features before and after import; return the note on it."""
    backbone = backbone_of(architecture)
    adapted = read_backbone(path, backbone.state_dict())
    backbone.load_state_dict(adapted.state)
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        pairs = list(zip(backbone(images), expected(images), strict=True))
    assert all(ours.std() > 0.1 for ours, _ in pairs)
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    return adapted.notes[-1]


@pytest.mark.parametrize(
    ("make", "architecture", "form"),
    [
        (resnet50, R50, "bare"),
        *((resnet18, R18, form) for form in ("bare", "training script", "safetensors")),
    ],
)
def test_read_backbone_of_torchvision_gives_the_same_features(
    tmp_path: Path, make: Callable, architecture: Architecture, form: str
) -> None:
    model = randomised(make(weights=None))
    path = tmp_path / "weights"
    if form == "safetensors":
        save_weights(path, model.state_dict())
    elif form == "training script":
        wrapped = {f"module.{name}": value for name, value in model.state_dict().items()}
        torch.save({"model": wrapped, "args": Namespace(lr=0.1), "epoch": 90}, path)
    else:
        torch.save(model.state_dict(), path)
    note = check_same_features(path, architecture, lambda x: features_of_classifier(model, x))
    assert "left out: fc.bias, fc.weight; neck, rpn_head and roi_head are initialised" in note


@pytest.mark.parametrize(("name", "architecture"), [("resnet34", None), ("resnet50", R50)])
def test_read_backbone_of_timm_gives_the_same_features(
    tmp_path: Path, name: str, architecture: Architecture | None
) -> None:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    model = randomised(timm.create_model(name, pretrained=False))
    torch.save({"state_dict": model.state_dict(), "state_dict_ema": {}}, tmp_path / "x.pth")

    def expected(images: Tensor) -> list[Tensor]:
        x = model.maxpool(model.act1(model.bn1(model.conv1(images))))
        return [x := getattr(model, f"layer{number}")(x) for number in range(1, 5)]

    wanted = architecture or model_architecture(Model.R34)
    check_same_features(tmp_path / "x.pth", wanted, expected)


def test_read_backbone_of_resnext_gives_the_same_features(tmp_path: Path) -> None:
    x101 = model_architecture(Model.X101)
    thin = x101.model_copy(update={"stages": tuple(stage[:1] for stage in x101.stages)})
    model = randomised(ResNetOfTorchvision(Bottleneck, [1, 1, 1, 1], groups=32, width_per_group=4))
    torch.save(model.state_dict(), tmp_path / "x.pth")
    check_same_features(tmp_path / "x.pth", thin, lambda x: features_of_classifier(model, x))


MOBILENET = model_architecture(Model.MOBILENET_V2)


def test_read_backbone_of_torchvisions_mobilenet_gives_the_same_features(tmp_path: Path) -> None:
    model = randomised(mobilenet_v2(weights=None))
    torch.save(model.state_dict(), tmp_path / "x.pth")

    def expected(x: Tensor) -> list[Tensor]:
        return [x := part(x) for part in (model.features[i:j] for i, j in ENDS)]

    note = check_same_features(tmp_path / "x.pth", MOBILENET, expected)
    assert "left out: classifier.1.bias, classifier.1.weight" in note


ENDS = ((0, 4), (4, 7), (7, 14), (14, 19))
"""Modules of torchvision's MobileNetV2 for each stage here."""


def test_read_backbone_of_timms_mobilenet_gives_the_same_features(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    model = randomised(timm.create_model("mobilenetv2_100", pretrained=False))
    torch.save(model.state_dict(), tmp_path / "x.pth")

    def expected(x: Tensor) -> list[Tensor]:
        x, found = model.bn1(model.conv_stem(x)), []
        for number, stage in enumerate(model.blocks):
            x = stage(x)
            found += [x] if number in (1, 2, 4) else []
        return [*found, model.bn2(model.conv_head(x))]

    check_same_features(tmp_path / "x.pth", MOBILENET, expected)


def test_read_backbone_of_mmpretrains_mobilenet_gives_the_same_features(tmp_path: Path) -> None:
    model = randomised(MobileNetV2(out_indices=(1, 2, 4, 7)))
    torch.save({"state_dict": mmpretrains(model)}, tmp_path / "x.pth")
    check_same_features(tmp_path / "x.pth", MOBILENET, model)


def test_read_backbone_of_another_mobilenet_names_the_tensors(tmp_path: Path) -> None:
    state = mobilenet_v2(weights=None).state_dict()
    fewer = {name: value for name, value in state.items() if ".16." not in name}
    said = refusal(tmp_path, fewer, MOBILENET)
    assert "15 missing (layer4.3.bn1.bias" in said
    more = {**state, "features.18.conv.0.0.weight": torch.ones(1)}
    assert "unexpected (features.18.conv.0.0.weight" in refusal(tmp_path, more, MOBILENET)
    assert "has a ResNet's names; give the state dict of a MobileN" in refusal(
        tmp_path, resnet18(weights=None).state_dict(), MOBILENET
    )


def mmpretrains(model: nn.Module) -> dict[str, Tensor]:
    """The state dict of its ImageClassifier: a backbone, whose class mmdet has too, and a head."""
    state = {f"backbone.{name}": value for name, value in model.state_dict().items()}
    return {**state, "head.fc.weight": torch.zeros(10, 512), "head.fc.bias": torch.zeros(10)}


@pytest.mark.parametrize(("depth", "architecture"), [(18, R18), (50, R50)])
def test_read_backbone_of_mmpretrain_gives_the_same_features(
    tmp_path: Path, depth: int, architecture: Architecture
) -> None:
    model = randomised(ResNet(depth, frozen_stages=-1, norm_eval=False))
    torch.save({"state_dict": mmpretrains(model), "meta": {"epoch": 100}}, tmp_path / "x.pth")
    note = check_same_features(tmp_path / "x.pth", architecture, model)
    assert "without the prefix backbone. of their names; left out: head.fc.bias, head" in note


def test_read_backbone_fills_missing_batch_counters(tmp_path: Path) -> None:
    model = randomised(resnet18(weights=None))
    state = {name: v for name, v in model.state_dict().items() if "num_batches" not in name}
    torch.save(state, tmp_path / "x.pth")
    check_same_features(tmp_path / "x.pth", R18, lambda x: features_of_classifier(model, x))


def test_read_backbone_names_the_averaged_weights_that_it_did_not_take(tmp_path: Path) -> None:
    state = randomised(resnet18(weights=None)).state_dict()
    torch.save({"model": state, "model_ema": state}, tmp_path / "x.pth")
    notes = read_backbone(tmp_path / "x.pth", backbone_of(R18).state_dict()).notes
    assert notes[0] == "the checkpoint's model was taken, not its model_ema"


def refusal(path: Path, state: dict[str, Tensor], architecture: Architecture = R18) -> str:
    torch.save(state, path / "x.pth")
    with pytest.raises(WeightsError) as caught:
        read_backbone(path / "x.pth", backbone_of(architecture).state_dict())
    assert caught.value.problem.startswith("base.backboneWeights: ")
    assert caught.value.remedy
    return str(caught.value)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("conv1.0.weight", "layer1.0.conv1.weight"), "stem of several convolutions, as timm's"),
        (("backbone.stem.0.weight", "backbone.layer1.0.x"), "mmpretrain's ResNetV1c"),
        (("backbone.bottom_up.stem.conv1.weight",), "detectron2's names"),
        (("backbone.body.conv1.weight",), "torchvision's detectors"),
        (("cls_token", "patch_embed.proj.weight"), "a vision transformer's names"),
        (("features.0.weight", "classifier.0.weight"), "such as VGG's"),
        (("conv_stem.weight", "blocks.0.0.bn1.weight"), "timm's MobileNets and EfficientNets"),
        (("encoder.conv1.weight",), "names that begin with encoder"),
    ],
)
def test_read_backbone_refuses_other_models_by_their_names(
    tmp_path: Path, names: tuple[str, ...], said: str
) -> None:
    assert said in refusal(tmp_path, dict.fromkeys(names, torch.ones(1)))


def test_read_backbone_of_another_depth_names_the_tensors(tmp_path: Path) -> None:
    state = randomised(resnet18(weights=None)).state_dict()
    said = refusal(tmp_path, state, R50)
    assert "do not fit the backbone" in said
    assert "missing (layer1.0.bn3.bias" in said
    assert "layer1.0.conv1.weight is (64, 64, 3, 3), not (64, 64, 1, 1)" in said


@pytest.mark.parametrize("variance", [1.0, 1 - 1e-5], ids=["mmdet's", "detectron2's"])
def test_read_backbone_refuses_folded_batch_norms(tmp_path: Path, variance: float) -> None:
    state = resnet18(weights=None).state_dict()
    for name, value in state.items():
        if name.endswith("running_var"):
            value.fill_(variance)
    said = refusal(tmp_path, state)
    assert "batch norms were folded, as in the ResNets of Caffe and detectron2" in said
    assert "never trained" in said
