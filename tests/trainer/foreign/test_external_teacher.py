"""A teacher of one's own is mmdet's detector: the same features, logits and boxes."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mmdet.structures import DetDataSample
from torch import Tensor

from detnas_trainer.foreign import Pixels, load_teacher_file, read_teacher
from detnas_trainer.weights import WeightsError
from tests.trainer.conftest import CLASSES
from tests.trainer.foreign.teachers import cascade, faster, hybrid, mmdets, write_teacher

OURS = Pixels([123.675, 116.28, 103.53], [58.395, 57.12, 57.375], is_rgb=True)
ROIS = torch.tensor([[0, 4, 4, 30, 34], [0, 30, 20, 60, 60], [1, 2, 8, 40, 60.0]])


def _read(folder: Path, model: dict[str, Any], classes: tuple[str, ...] = CLASSES) -> Any:
    return read_teacher(*write_teacher(folder, model, classes), CLASSES)


def _images() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = ((64, 50), (40, 64))
    return [torch.randint(256, (3, *size), generator=generator).byte() for size in sizes]


def _as_the_student_gets_them(images: list[Tensor]) -> Tensor:
    """Normalised for the student and padded, from mmdet's BGR pixels."""
    padded = torch.zeros(len(images), 3, 64, 64)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (OURS.mean, OURS.std))
    for image, place in zip(images, padded, strict=True):
        place[:, : image.shape[1], : image.shape[2]] = (image.flip(0).float() - mean) / std
    return padded


@pytest.mark.parametrize(
    "model", [faster(), cascade(), hybrid(), hybrid(semantic=True)],
    ids=["Faster R-CNN", "Cascade with DCN", "HTC", "HTC with its semantic branch"],
)  # fmt: skip
def test_teacher_computes_what_mmdet_computes_of_the_same_images(
    tmp_path: Path, model: dict[str, Any]
) -> None:
    found = _read(tmp_path, model)
    teacher = load_teacher_file(json.loads(json.dumps(found.settings)), found.state)
    images, theirs = _images(), mmdets(model)
    samples = [DetDataSample(metainfo={"img_shape": tuple(i.shape[1:])}) for i in images]
    batch = theirs.data_preprocessor({"inputs": images, "data_samples": samples}, False)
    head = theirs.roi_head
    with torch.inference_mode():
        levels = theirs.extract_feat(batch["inputs"])
        ours = teacher.levels(
            _as_the_student_gets_them(images), [s.img_shape for s in samples], OURS
        )
        stages = len(teacher.heads)
        passes = teacher.passes(ours, [ROIS] * (stages + 1))
        extra = (head.semantic_head(levels)[1],) if getattr(head, "semantic_head", None) else ()
        expected = [
            head._bbox_forward(*((stage,) if stages > 1 else ()), levels, ROIS, *extra)
            for stage in range(stages)
        ]
    for mine, other in zip(ours, levels, strict=True):
        assert torch.allclose(mine, other, rtol=1e-4, atol=1e-4)
    for one, other in zip(passes, [*expected, expected[-1]], strict=True):
        assert torch.allclose(one.logits, other["cls_score"], rtol=1e-3, atol=1e-3)
        assert torch.allclose(one.deltas, other["bbox_pred"], rtol=1e-3, atol=1e-3)
    assert passes[0].logits.std() > 0.01, "random weights must tell RoIs apart"


def test_classes_are_mapped_by_their_names(tmp_path: Path) -> None:
    there, here = _read(tmp_path, faster()), _read(tmp_path, faster(), CLASSES[::-1])
    assert "the data set's order by name" in "".join(here.notes)
    name = "roi_head.bbox_head.0.fc_cls.bias"
    assert torch.equal(there.state[name][[1, 0, 2]], here.state[name])
    name = "roi_head.bbox_head.0.fc_reg.bias"
    assert torch.equal(there.state[name].view(2, 4).flip(0).flatten(), here.state[name])


def test_what_does_not_teach_is_left_out_and_named(tmp_path: Path) -> None:
    found = _read(tmp_path, hybrid())
    assert not any("mask" in name or name.startswith("rpn") for name in found.state)
    (note,) = found.notes
    assert note.startswith("the teacher's roi_head.mask_head, rpn_head.rpn_cls, rpn_head.rpn_conv")
    assert note.endswith("do not teach, and are left out")


def _changed(path: str, value: Any) -> dict[str, Any]:
    model = copy.deepcopy(faster())
    *places, last = path.split(".")
    part = model
    for place in places:
        part = part[place]
    part[last] = value
    return model


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("roi_head.type", "DoubleHeadRoIHead", "model.roi_head.type: DoubleHeadRoIHead; it"),
        ("roi_head.bbox_head.type", "SABLHead", "model.roi_head.bbox_head.type: SABLHead; it"),
        (
            "roi_head.bbox_roi_extractor.featmap_strides",
            [8, 16, 32, 64],
            r"bbox_roi_extractor.featmap_strides: \[8, 16, 32, 64\]; it must be \[4, 8, 16, 32\]",
        ),
        ("roi_head.bbox_head.loss_cls.type", "SeesawLoss", "loss_cls.type: SeesawLoss; it must be"),
        ("data_preprocessor", {}, "model.data_preprocessor: it lacks the mean and the std"),
        ("neck.num_outs", 4, r"strides \[4, 8, 16, 32\] with \[12\] channels"),
        ("backbone.type", "os.system", "model.backbone: mmdet does not build it"),
        ("backbone.plugins", [{"cfg": {"type": "ContextBlock", "ratio": 0.5}, "position": "x"}],
         "model.backbone: mmdet does not build it"),
    ],
)  # fmt: skip
def test_teacher_that_cannot_teach_is_refused_with_its_path(
    tmp_path: Path, path: str, value: Any, said: str
) -> None:
    _, weights = write_teacher(tmp_path, faster())
    config = tmp_path / "changed.py"
    config.write_text(f"model = {_changed(path, value)!r}\n")
    with pytest.raises(WeightsError, match=said):
        read_teacher(config, weights, CLASSES)


def test_teacher_with_an_absent_operator_is_refused_by_the_operators_name(tmp_path: Path) -> None:
    model = faster()
    model["neck"] = {**model["neck"], "type": "FPN_CARAFE"}
    _, weights = write_teacher(tmp_path, model)
    with pytest.raises(WeightsError, match="the operator 'carafe_forward' needs mmcv's compiled"):
        read_teacher(tmp_path / "teacher.py", weights, CLASSES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("_base_ = ['../htc.py']\n", "inherits from"),
        ("import os\nmodel = dict()\n", "line 1: import os is no plain value"),
        ("model = dict(depth=int('18'))\n", "line 1: int.'18'. is no plain value"),
        ("model = {**other}\n", "other is no plain value"),
        ("model = [", "cannot be read"),
        ("classes = ('a',)\n", "it has no model"),
    ],
)
def test_configuration_of_more_than_plain_values_is_refused_and_not_run(
    tmp_path: Path, text: str, said: str
) -> None:
    _, weights = write_teacher(tmp_path, faster())
    config = tmp_path / "config.py"
    config.write_text(text)
    with pytest.raises(WeightsError, match=said):
        read_teacher(config, weights, CLASSES)


def test_json_configuration_is_read_as_well(tmp_path: Path) -> None:
    _, weights = write_teacher(tmp_path, faster())
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"model": faster()}))
    assert read_teacher(config, weights, CLASSES).settings["is_rgb"] is False


@pytest.mark.parametrize(
    ("classes", "said"),
    [(("disc", "triangle"), "does not know the classes square")],
)
def test_teacher_of_other_classes_is_refused(
    tmp_path: Path, classes: tuple[str, ...], said: str
) -> None:
    with pytest.raises(WeightsError, match=said):
        _read(tmp_path, faster(), classes)


def test_weights_of_another_detector_are_refused_with_their_names(tmp_path: Path) -> None:
    _, weights = write_teacher(tmp_path, faster())
    config = tmp_path / "other.py"
    config.write_text(f"model = {cascade()!r}\n")
    with pytest.raises(WeightsError, match=r"teachers\.external\.weights: weights: tensors do not"):
        read_teacher(config, weights, CLASSES)
