"""From a checkpoint to a detector's tensors by mmdet's names, or to a refusal with its remedy."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from detnas.records.settings import DetectorShape
from detnas.spec.base import Model, model_architecture
from detnas_trainer.detector import build_detector
from detnas_trainer.foreign import read_checkpoint
from detnas_trainer.weights import WeightsError, save_weights
from tests.trainer.foreign.conftest import PARTS

STATE = {
    "backbone.conv1.weight": torch.randn(4, 3, 7, 7),
    "backbone.bn1.num_batches_tracked": torch.tensor(12),
    "neck.lateral_convs.0.conv.weight": torch.randn(4, 6, 1, 1).transpose(0, 1),
    "rpn_head.rpn_conv.bias": torch.randn(4),
    "roi_head.bbox_head.fc_cls.bias": torch.randn(3),
}


def refusal(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        read_checkpoint(path)
    assert caught.value.remedy
    assert caught.value.problem.startswith(f"base.weights: {path} ")
    return str(caught.value)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("wrapped", [True, False], ids=["state_dict", "bare"])
@pytest.mark.parametrize(
    "prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."]
)
def test_checkpoint_of_torch_is_read_without_its_prefixes(
    tmp_path: Path, legacy: bool, wrapped: bool, prefix: str
) -> None:
    state = {prefix + name: value for name, value in STATE.items()}
    content = {"meta": {"epoch": 12}, "state_dict": state} if wrapped else state
    torch.save(content, tmp_path / "r18.pth", _use_new_zipfile_serialization=not legacy)
    found = read_checkpoint(tmp_path / "r18.pth").state
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], value) for name, value in STATE.items())


def test_parts_that_were_compiled_are_read_by_their_own_names(tmp_path: Path) -> None:
    state = {name.replace(".", "._orig_mod.", 1): value for name, value in STATE.items()}
    torch.save(state, tmp_path / "x.pth")
    assert read_checkpoint(tmp_path / "x.pth").state.keys() == STATE.keys()


@pytest.mark.parametrize("counter", ["steps", "n_averaged"], ids=["mmengine", "torch"])
def test_averaged_model_is_read_without_its_counter(tmp_path: Path, counter: str) -> None:
    state = {f"module.{name}": value for name, value in STATE.items()}
    torch.save({**state, counter: torch.tensor(7)}, tmp_path / "ema.pth")
    assert read_checkpoint(tmp_path / "ema.pth").state.keys() == STATE.keys()


def test_second_weights_of_mmdet_2s_averaging_are_left_out(tmp_path: Path) -> None:
    shadows = {f"ema_{name.replace('.', '_')}": value + 1 for name, value in STATE.items()}
    torch.save({"state_dict": {**STATE, **shadows}}, tmp_path / "ema.pth")
    found = read_checkpoint(tmp_path / "ema.pth")
    assert found.state.keys() == STATE.keys()
    assert all(torch.equal(found.state[name], value) for name, value in STATE.items())
    assert found.notes[0].startswith(f"{len(STATE)} tensors named ema_… were left out")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {
        name: value.to(dtype) if value.is_floating_point() else value
        for name, value in STATE.items()
    }
    torch.save(state, tmp_path / "x.pth")
    found = read_checkpoint(tmp_path / "x.pth").state
    assert found["rpn_head.rpn_conv.bias"].dtype == torch.float32
    assert torch.equal(found["rpn_head.rpn_conv.bias"], state["rpn_head.rpn_conv.bias"].float())
    assert found["backbone.bn1.num_batches_tracked"].dtype == torch.int64


def test_parameters_become_plain_tensors(tmp_path: Path) -> None:
    torch.save({name: torch.nn.Parameter(v) for name, v in PARTS.items()}, tmp_path / "x.pth")
    assert not any(v.requires_grad for v in read_checkpoint(tmp_path / "x.pth").state.values())


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ""])
def test_content_decides_the_format_not_the_suffix(tmp_path: Path, suffix: str) -> None:
    save_weights(tmp_path / f"a{suffix}", STATE, {"classes": ["disc", "square"]})
    torch.save({"state_dict": STATE}, tmp_path / f"b{suffix}")
    ours = read_checkpoint(tmp_path / f"a{suffix}")
    assert ours.classes == ("disc", "square")
    assert ours.state.keys() == read_checkpoint(tmp_path / f"b{suffix}").state.keys()


@pytest.mark.parametrize(
    ("meta", "classes"),
    [
        ({"dataset_meta": {"classes": ("a", "b"), "palette": [(1, 2, 3)]}}, ("a", "b")),
        ({"dataset_meta": {"CLASSES": ["a", "b"]}}, ("a", "b")),
        ({"CLASSES": ("a", "b"), "PALETTE": None}, ("a", "b")),
        ({"classes": ["a"]}, ("a",)),
        ({"dataset_meta": {"classes": "person"}}, ("person",)),
        ({"dataset_meta": None, "CLASSES": None}, None),
        ({"dataset_meta": {"classes": [1, 2]}}, None),
        ({"dataset_meta": {"classes": ()}}, None),
        ({"epoch": 12}, None),
        ("text", None),
        (None, None),
    ],
)
def test_class_names_are_found_in_every_generation_of_meta(
    tmp_path: Path, meta: Any, classes: tuple[str, ...] | None
) -> None:
    torch.save({"state_dict": PARTS, "meta": meta}, tmp_path / "x.pth")
    assert read_checkpoint(tmp_path / "x.pth").classes == classes


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path: Path, value: float) -> None:
    broken = torch.zeros(3)
    broken[1] = value
    torch.save({**STATE, "rpn_head.rpn_conv.bias": broken}, tmp_path / "x.pth")
    assert "NaN or infinity, as float32, in rpn_head.rpn_conv.bias; " in refusal(tmp_path / "x.pth")


def test_number_beyond_float32_is_refused(tmp_path: Path) -> None:
    large = torch.tensor([1e300], dtype=torch.float64)
    torch.save({**STATE, "neck.bias": large}, tmp_path / "x.pth")
    assert "neck.bias" in refusal(tmp_path / "x.pth")


@pytest.mark.parametrize(
    "odd",
    [
        torch.zeros(2, dtype=torch.int8),
        torch.zeros(2, dtype=torch.complex64),
        torch.zeros(2, 2).to_sparse(),
        torch.zeros(2, device="meta"),
    ],
    ids=["integers", "complex", "sparse", "meta"],
)
def test_tensors_that_are_not_plain_floats_are_refused_by_name(
    tmp_path: Path, odd: torch.Tensor
) -> None:
    torch.save({**STATE, "neck.weight": odd}, tmp_path / "x.pth")
    assert "not dense floating-point numbers: neck.weight; " in refusal(tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"epoch": 1}, "epoch are no tensors"),
        ([torch.zeros(1)], "a list where it would be"),
        (torch.zeros(1), "a Tensor where it would be"),
        ({"state_dict": [1]}, "a list where it would be"),
        ({"state_dict": {"a": 1, 2: torch.zeros(1)}}, "a, 2 are no tensors"),
        ({"state_dict": {}}, "it is empty"),
        ({"net": PARTS, "epoch": 1}, "net, epoch are no tensors"),
        ({"model": [1]}, "a list where it would be"),
    ],
)
def test_file_without_tensors_by_name_is_refused(
    tmp_path: Path, content: object, said: str
) -> None:
    torch.save(content, tmp_path / "x.pth")
    assert f"holds no state dict: {said}" in refusal(tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("conv1.weight", "layer1.0.conv1.weight", "fc.bias"), "names are those of a backbone"),
        (("backbone.body.conv1.weight", "roi_heads.x"), "begin with backbone, roi_heads"),
        (("backbone.bottom_up.stem.conv1.weight",), "names are those of detectron2"),
        (
            ("backbone.conv1.weight", "bbox_head.cls.weight"),
            "those of mmdet 1, which mmdet",
        ),
        (("model.backbone.conv1.weight",), "names begin with model"),
    ],
)
def test_another_models_names_are_recognised(
    tmp_path: Path, names: tuple[str, ...], said: str
) -> None:
    torch.save({"state_dict": dict.fromkeys(names, torch.zeros(1))}, tmp_path / "x.pth")
    told = refusal(tmp_path / "x.pth")
    assert said in told
    assert "base.train" in told


def test_detectron2s_pickle_is_refused(tmp_path: Path) -> None:
    content = {"model": {name: v.numpy() for name, v in PARTS.items()}, "__author__": "x"}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content))
    assert "is a plain pickle" in refusal(tmp_path / "x.pkl")


def test_other_files_are_refused_before_torch_reads_them(tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_text("<html>404</html>")
    assert "is a web page" in refusal(tmp_path / "x.pth")
    assert "does not exist" in refusal(tmp_path / "absent.pth")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_truncated_safetensors_are_refused(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "x.safetensors"
    save_weights(path, STATE)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(WeightsError, match="cannot be read as safetensors"):
        read_checkpoint(path)


def names_of_mmdet_2() -> set[str]:
    """Tensors of faster_rcnn_r50_fpn_1x_coco as mmdet 2 names them; no file of it was at hand."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    backbone = ["conv1.weight", *(f"bn1.{kind}" for kind in norm)]
    for stage, depth in enumerate((3, 4, 6, 3), 1):
        for block in range(depth):
            at = f"layer{stage}.{block}"
            for number in (1, 2, 3):
                backbone += [f"{at}.conv{number}.weight"]
                backbone += [f"{at}.bn{number}.{kind}" for kind in norm]
        backbone += [f"layer{stage}.0.downsample.0.weight"]
        backbone += [f"layer{stage}.0.downsample.1.{kind}" for kind in norm]
    convolutions = [
        *(f"neck.{kind}_convs.{level}.conv" for kind in ("lateral", "fpn") for level in range(4)),
        *(f"rpn_head.{name}" for name in ("rpn_conv", "rpn_cls", "rpn_reg")),
        *(f"roi_head.bbox_head.{name}" for name in ("fc_cls", "fc_reg")),
        *(f"roi_head.bbox_head.shared_fcs.{number}" for number in (0, 1)),
    ]
    return {f"backbone.{name}" for name in backbone} | {
        f"{name}.{kind}" for name in convolutions for kind in ("weight", "bias")
    }


def test_names_of_mmdet_2_are_those_of_the_detector() -> None:
    detector = build_detector(model_architecture(Model.R50), DetectorShape(), 80)
    assert names_of_mmdet_2() == detector.state_dict().keys()
