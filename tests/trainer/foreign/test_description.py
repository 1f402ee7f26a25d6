"""A configuration of mmdet becomes sections of a manifest that mean the same detector."""

import copy
from pathlib import Path
from typing import Any

import mmdet
import pytest
import torch
import yaml
from mmengine.config import Config

from detnas.errors import UserError
from detnas.records.settings import DetectorShape, HeadKind
from detnas.spec.base import Base
from detnas_trainer.cli import main
from detnas_trainer.detector import build_detector
from detnas_trainer.foreign.description import describe, describe_file
from tests.trainer.foreign.test_configuration import (
    CLASSES,
    SHAPE,
    boxes_of,
    built,
    raw_of,
    stock_model,
)

PUBLISHED = Path(mmdet.__file__).parent / ".mim" / "configs"
needs_published = pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason="this mmdet brings no configurations along"
)
R50 = "faster-rcnn-r50-fpn"


@needs_published
@pytest.mark.parametrize(
    ("name", "model", "detector"),
    [
        ("faster_rcnn/faster-rcnn_r50_fpn_1x_coco", R50, {}),
        ("faster_rcnn/faster-rcnn_r101_fpn_2x_coco", "faster-rcnn-r101-fpn", {}),
        ("faster_rcnn/faster-rcnn_x101-32x4d_fpn_1x_coco", "faster-rcnn-x101-32x4d-fpn", {}),
        ("cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco", R50, {"head": "Cascade"}),
    ],
)
def test_published_configuration_is_described(name: str, model: str, detector: Any) -> None:
    found = describe_file(PUBLISHED / f"{name}.py").sections()
    assert found == {"base": {"model": model}, "detector": detector}


@needs_published
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dcn/faster-rcnn_r50-dconv-c3-c5_fpn_1x_coco", "model.backbone.dcn.type is 'DCN'"),
        ("htc/htc_r50_fpn_1x_coco", "model.roi_head.type is 'HybridTaskCascadeRoIHead'"),
        ("libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco", "model.neck.1.type is 'BFP'"),
        ("fpg/faster-rcnn_r50_fpg_crop640-50e_coco", "model.neck.type is 'FPG'"),
        ("pafpn/faster-rcnn_r50_pafpn_1x_coco", "model.neck.type is 'PAFPN'; supported is FPN"),
        ("gn+ws/faster-rcnn_r50_fpn_gn-ws-all_1x_coco", "model.backbone.norm_cfg.type is 'GN'"),
        (
            "dcn/faster-rcnn_r50_fpn_dpool_1x_coco",
            "model.roi_head.bbox_roi_extractor.roi_layer.type is 'DeformRoIPoolPack'",
        ),
        ("faster_rcnn/faster-rcnn_r50-caffe_fpn_1x_coco", "model.backbone.style is 'caffe'"),
        ("faster_rcnn/faster-rcnn_r50_fpn_giou_1x_coco", "reg_decoded_bbox is True"),
    ],
)
def test_published_configuration_that_is_not_supported_is_refused_by_its_path(
    name: str, said: str
) -> None:
    with pytest.raises(UserError) as caught:
        describe_file(PUBLISHED / f"{name}.py")
    assert said in caught.value.problem


OTHER = SHAPE.model_validate(
    {
        "neck": 32,
        "fc": 48,
        "proposals": 200,
        "roiSamples": 64,
        "anchorScales": [4, 8],
        "anchorRatios": ["0.6", "1.5"],
        "padDivisor": 16,
        "rpnStds": ["0.5", "0.5", "1", "1"],
        "rpnBeta": "0.2",
        "roiSize": 5,
        "roiFinestScale": 20,
        "trainingProposals": 300,
        "proposalNmsIou": "0.8",
        "pixels": {"order": "BGR", "mean": ["100", "110", "120"], "std": ["50", "51", "52"]},
        "boxes": {"scoreThreshold": "0.01", "nmsIou": "0.6", "maxPerImage": 80},
        "stages": [{"iou": "0.55", "stds": ["0.2", "0.2", "0.3", "0.3"]}],
    }
)
CASCADE = OTHER.model_copy(
    update={"head": HeadKind.CASCADE, "stages": (), "rpn_beta": None, "training_proposals": None}
)


@pytest.mark.parametrize("shape", [OTHER, CASCADE], ids=["Standard", "Cascade"])
def test_described_detector_is_the_one_that_mmdet_builds(shape: DetectorShape) -> None:
    model = stock_model(shape)
    described = describe({"model": model})
    assert described.shape == shape
    sections = described.sections()
    base = Base.model_validate({**sections["base"], "train": {}})
    assert base.resolve() == described.architecture
    again = DetectorShape.model_validate(sections["detector"])
    theirs, ours = built(model), build_detector(base.resolve(), again, len(CLASSES)).eval()
    ours.load_state_dict(theirs.state_dict())
    picture = torch.randint(0, 256, (3, 96, 96), generator=torch.Generator().manual_seed(1)).byte()
    with torch.no_grad():
        for found, expected in zip(raw_of(ours, picture), raw_of(theirs, picture), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        found, expected = boxes_of(ours, picture), boxes_of(theirs, picture)
    assert len(expected.scores) >= 50
    assert torch.equal(found.labels, expected.labels)
    torch.testing.assert_close(found.bboxes, expected.bboxes, rtol=1e-4, atol=1e-2)


def test_everything_that_is_not_supported_is_named_at_once() -> None:
    model = copy.deepcopy(stock_model())
    model["rpn_head"]["anchor_generator"]["type"] = "YOLOAnchorGenerator"
    model["rpn_head"]["loss_bbox"]["loss_weight"] = 2.0
    model["backbone"]["plugins"] = [{"cfg": {"type": "ContextBlock"}}]
    model["train_cfg"]["rcnn"]["sampler"]["type"] = "OHEMSampler"
    del model["test_cfg"]["rpn"]["nms_pre"]
    with pytest.raises(UserError) as caught:
        describe({"model": model})
    for said in (
        "model.rpn_head.anchor_generator.type is 'YOLOAnchorGenerator'; supported is 'Anchor",
        "model.rpn_head.loss_bbox.loss_weight is 2.0; supported is 1.0",
        "model.backbone.plugins is [{'cfg': {'type': 'ContextBlock'}}]; it is not supported",
        "model.train_cfg.rcnn.sampler.type is 'OHEMSampler'; supported is 'RandomSampler'",
        "model.test_cfg.rpn.nms_pre is missing; supported is 1000",
    ):
        assert said in caught.value.problem


def test_what_a_configuration_leaves_out_is_what_mmdet_takes() -> None:
    model = copy.deepcopy(stock_model())
    for part in ("loss_bbox", "bbox_coder"):
        model["rpn_head"].pop(part)
    model["roi_head"]["bbox_roi_extractor"]["roi_layer"].pop("sampling_ratio")
    model["roi_head"]["bbox_head"]["bbox_coder"].pop("target_stds")
    described = describe({"model": model})
    parts = built(model)
    assert described.shape.betas[0] == pytest.approx(parts.rpn_head.loss_bbox.beta)
    for stds, coder in (
        (described.shape.rpn_stds, parts.rpn_head.bbox_coder),
        (described.shape.box_stages[0].stds, parts.roi_head.bbox_head.bbox_coder),
    ):
        assert [*map(float, stds)] == list(coder.stds) == [1.0] * 4


def test_describe_prints_sections_of_inherited_and_of_dumped_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Config({"model": stock_model()}).dump(str(tmp_path / "base.py"))
    small = "_base_ = ['./base.py']\nmodel = dict(test_cfg=dict(rcnn=dict(score_thr=0.001)))\n"
    (tmp_path / "own.py").write_text(small)
    with pytest.raises(SystemExit, match="0"):
        main(["describe", str(tmp_path / "own.py")])
    assert yaml.safe_load(capsys.readouterr().out) == {
        "spec": {
            "base": {"model": "faster-rcnn-r18-fpn"},
            "detector": {"neck": 32, "fc": 64, "boxes": {"scoreThreshold": "0.001"}},
        }
    }
    with pytest.raises(SystemExit, match="2"):
        main(["describe", str(tmp_path / "absent.py")])
    assert "absent.py is no file" in capsys.readouterr().err
