"""A detector of mmdet gives the same logits and boxes here, or its configuration is refused."""

import copy
from pathlib import Path
from typing import Any

import mmdet
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from torch import Tensor

from detnas.records.settings import DetectorShape, HeadKind
from detnas.spec.base import Model, model_architecture
from detnas_trainer.detector import build_detector
from detnas_trainer.detector_config import detector_config
from detnas_trainer.distillation.box_passes import box_forward
from detnas_trainer.foreign import adapt, read_backbone, read_checkpoint
from detnas_trainer.foreign.comparison import compare
from detnas_trainer.foreign.configuration import saved_configuration
from detnas_trainer.openmmlab import DefaultScope, DetDataSample
from detnas_trainer.roi_head import box_heads
from detnas_trainer.weights import WeightsError
from tests.trainer.foreign.randomised import randomised

R18, R50 = model_architecture(Model.R18), model_architecture(Model.R50)
SHAPE = DetectorShape(neck=32, fc=64)
CLASSES = ("cat", "dog", "bird")
SIDE = 160


def stock_model(shape: DetectorShape = SHAPE, **backbone: Any) -> dict[str, Any]:
    """mmdet's own detector with FPN; what its configurations have as `model`."""
    model = copy.deepcopy(detector_config(R18, shape, len(CLASSES)))
    model["backbone"] = {
        "type": "ResNet",
        "depth": 18,
        "num_stages": 4,
        "out_indices": (0, 1, 2, 3),
        "frozen_stages": 1,
        "norm_cfg": {"type": "BN", "requires_grad": True},
        "norm_eval": True,
        "style": "pytorch",
        **backbone,
    }
    return model


def saved(path: Path, model: dict[str, Any], state: dict[str, Tensor], **others: Any) -> Path:
    """A checkpoint as mmengine saves it: weights, classes, and the configuration as text."""
    text = Config({"default_scope": "mmdet", "model": model, **others}).pretty_text
    meta = {"cfg": text, "dataset_meta": {"classes": CLASSES}}
    torch.save({"state_dict": state, "meta": meta}, path / "x.pth")
    return path / "x.pth"


def built(model: dict[str, Any]) -> Any:
    with DefaultScope.overwrite_default_scope("mmdet"):
        return randomised(MODELS.build(ConfigDict(copy.deepcopy(model))))


@pytest.fixture(scope="module")
def stock() -> Any:
    return built(stock_model())


def boxes_of(detector: Any, picture: Tensor) -> Any:
    detector.roi_head.test_cfg.score_thr = 0.0
    shape = {"img_shape": (SIDE, SIDE), "ori_shape": (SIDE, SIDE), "scale_factor": (1.0, 1.0)}
    batch = {"inputs": [picture], "data_samples": [DetDataSample(metainfo=shape)]}
    (sample,) = detector.test_step(batch)
    return sample.pred_instances


def raw_of(detector: Any, picture: Tensor) -> list[Tensor]:
    """Logits and deltas of the RPN at every level, and of the box head for two boxes."""
    inputs = detector.data_preprocessor({"inputs": [picture]}, False)["inputs"]
    features = detector.extract_feat(inputs)
    rois = torch.tensor([[0, 3.0, 5, 60.5, 90], [0, 20, 10, 150, 140]])
    heads = [
        box_forward(detector.roi_head, features, rois, stage)
        for stage in range(len(box_heads(detector.roi_head)))
    ]
    scores, deltas = detector.rpn_head(features)
    return [*scores, *deltas, *(x for head in heads for x in (head.logits, head.deltas))]


def check_same(
    path: Path, theirs: Any, side: int = SIDE, shape: DetectorShape = SHAPE
) -> tuple[str, ...]:
    """Compare logits and boxes before and after import; return the notes on it."""
    ours = build_detector(R18, shape, len(CLASSES)).eval()
    wanted = detector_config(R18, shape, len(CLASSES))
    adapted = adapt(read_checkpoint(path), ours.state_dict(), CLASSES, configuration=wanted)
    ours.load_state_dict(adapted.state)
    picture = torch.randint(0, 256, (3, side, side), generator=torch.Generator().manual_seed(1))
    picture = picture.byte()
    with torch.no_grad():
        for found, expected in zip(raw_of(ours, picture), raw_of(theirs, picture), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        found, expected = boxes_of(ours, picture), boxes_of(theirs, picture)
    assert len(expected.scores) >= 50
    torch.testing.assert_close(found.scores, expected.scores, rtol=1e-4, atol=1e-5)
    assert torch.equal(found.labels, expected.labels)
    torch.testing.assert_close(found.bboxes, expected.bboxes, rtol=1e-4, atol=1e-2)
    return adapted.notes


@pytest.mark.parametrize("prefix", ["", "module."])
def test_stock_detector_of_mmdet_gives_the_same_logits_and_boxes(
    tmp_path: Path, stock: Any, prefix: str
) -> None:
    state = {f"{prefix}{name}": value for name, value in stock.state_dict().items()}
    assert check_same(saved(tmp_path, stock_model(), state), stock) == ()


def test_stock_cascade_of_mmdet_gives_the_same_logits_and_boxes(tmp_path: Path) -> None:
    shape = SHAPE.model_copy(update={"head": HeadKind.CASCADE})
    theirs = built(stock_model(shape))
    path = saved(tmp_path, stock_model(shape), theirs.state_dict())
    assert check_same(path, theirs, shape=shape) == ()


def test_cascade_for_a_standard_head_and_the_reverse_are_refused(
    tmp_path: Path, stock: Any
) -> None:
    shape = SHAPE.model_copy(update={"head": HeadKind.CASCADE})
    checkpoint = read_checkpoint(saved(tmp_path, stock_model(), stock.state_dict()))
    wanted = detector_config(R18, shape, len(CLASSES))
    with pytest.raises(WeightsError, match="model.type: FasterRCNN; it must be CascadeRCNN"):
        adapt(checkpoint, stock.state_dict(), CLASSES, configuration=wanted, trained=True)


def test_cascades_class_layers_follow_the_data_sets_order(tmp_path: Path) -> None:
    shape = SHAPE.model_copy(update={"head": HeadKind.CASCADE})
    theirs = built(stock_model(shape)).state_dict()
    checkpoint = read_checkpoint(saved(tmp_path, stock_model(shape), theirs))
    adapted = adapt(checkpoint, theirs, ("bird", "cat", "dog"))
    for stage in range(3):
        name = f"roi_head.bbox_head.{stage}.fc_cls.weight"
        assert torch.equal(adapted.state[name], theirs[name][[2, 0, 1, 3]])
        boxes = f"roi_head.bbox_head.{stage}.fc_reg.weight"
        assert torch.equal(adapted.state[boxes], theirs[boxes])


def test_detector_for_bgr_pixels_is_converted(tmp_path: Path) -> None:
    model = stock_model()
    pixels = {"mean": [103.53, 116.28, 123.675], "std": [1.0, 1.0, 1.0], "bgr_to_rgb": False}
    model["data_preprocessor"] |= pixels
    theirs = built(model)
    theirs.backbone.conv1.weight.data /= 50
    notes = check_same(saved(tmp_path, model, theirs.state_dict()), theirs)
    (note,) = notes
    assert note.startswith("backbone.conv1.weight was converted: ")
    assert note.endswith("takes pixels in the order BGR with deviations [1.0, 1.0, 1.0]")


def with_setting(path: str, value: Any) -> dict[str, Any]:
    model = stock_model()
    *parents, last = path.split(".")
    target = model
    for parent in parents:
        target = target.setdefault(parent, {})
    target[last] = value
    return model


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("type", "CascadeRCNN", "model.type: CascadeRCNN; it must be FasterRCNN"),
        ("backbone.type", "mmdet.RegNet", "model.backbone.type: mmdet.RegNet; it must be ResNet"),
        ("neck.type", "PAFPN", "model.neck.type: PAFPN; it must be FPN"),
        ("neck.add_extra_convs", "on_input", "model.neck.add_extra_convs: on_input"),
        ("roi_head.bbox_head.type", "DoubleConvFCBBoxHead", "model.roi_head.bbox_head.type"),
        ("backbone.dilations", (1, 1, 1, 2), "model.backbone.dilations: [1, 1, 1, 2]"),
    ],
)
@pytest.mark.parametrize("trained", [False, True])
def test_another_kind_of_model_is_refused_by_its_path(
    tmp_path: Path, stock: Any, path: str, value: Any, said: str, trained: bool
) -> None:
    checkpoint = read_checkpoint(saved(tmp_path, with_setting(path, value), stock.state_dict()))
    wanted = detector_config(R18, SHAPE, len(CLASSES))
    with pytest.raises(WeightsError) as caught:
        adapt(checkpoint, stock.state_dict(), CLASSES, configuration=wanted, trained=trained)
    assert said in caught.value.problem
    assert "base.train" not in caught.value.remedy


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("rpn_head.anchor_generator.scales", [4], "scales: [4], here [8]"),
        ("rpn_head.anchor_generator.strides", (4, 8, 16, 32), "here [4, 8, 16, 32, 64]"),
        ("rpn_head.bbox_coder.target_stds", (0.1, 0.1, 0.2, 0.2), "here [1.0, 1.0, 1.0, 1.0]"),
        ("roi_head.bbox_roi_extractor.roi_layer.sampling_ratio", 2, "sampling_ratio: 2, here 0"),
        ("roi_head.bbox_roi_extractor.roi_layer.aligned", False, "aligned: False, here True"),
        ("roi_head.bbox_head.bbox_coder.target_stds", (0.05, 0.05, 0.1, 0.1), "[0.05, 0.05, 0.1"),
        ("roi_head.bbox_head.reg_class_agnostic", True, "agnostic: True, here False"),
        ("backbone.norm_cfg.eps", 1e-3, "model.backbone.norm_cfg.eps: 0.001, here 1e-05"),
        ("data_preprocessor.mean", (127.5, 127.5, 127.5), "data_preprocessor.mean: [127.5, 127.5"),
    ],
)
def test_other_settings_are_refused_by_their_path_unless_the_base_is_trained(
    tmp_path: Path, stock: Any, path: str, value: Any, said: str
) -> None:
    checkpoint = read_checkpoint(saved(tmp_path, with_setting(path, value), stock.state_dict()))
    wanted = detector_config(R18, SHAPE, len(CLASSES))
    with pytest.raises(WeightsError) as caught:
        adapt(checkpoint, stock.state_dict(), CLASSES, configuration=wanted)
    assert said in caught.value.problem
    assert "or add base.train, to adapt the base" in caught.value.remedy
    adapted = adapt(checkpoint, stock.state_dict(), CLASSES, configuration=wanted, trained=True)
    assert any(said in note for note in adapted.notes)


def test_other_test_settings_are_noted(tmp_path: Path, stock: Any) -> None:
    model = with_setting("test_cfg.rcnn.nms.iou_threshold", 0.6)
    checkpoint = read_checkpoint(saved(tmp_path, model, stock.state_dict()))
    wanted = detector_config(R18, SHAPE, len(CLASSES))
    adapted = adapt(checkpoint, stock.state_dict(), CLASSES, configuration=wanted)
    assert adapted.notes == (
        "model.test_cfg.rcnn.nms.iou_threshold of the checkpoint is 0.6; here it is 0.5",
    )


PUBLISHED = Path(mmdet.__file__).parent / ".mim" / "configs"


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="this mmdet brings no configurations along")
@pytest.mark.parametrize(
    ("name", "model", "refused", "noted"),
    [
        ("faster_rcnn/faster-rcnn_r50_fpn_1x_coco", Model.R50, "", ""),
        ("faster_rcnn/faster-rcnn_r50_fpn_giou_1x_coco", Model.R50, "", ""),
        ("faster_rcnn/faster-rcnn_r101_fpn_ms-3x_coco", Model.R101, "", ""),
        ("faster_rcnn/faster-rcnn_x101-32x4d_fpn_2x_coco", Model.X101, "", ""),
        ("faster_rcnn/faster-rcnn_r50_fpn_soft-nms_1x_coco", Model.R50, "", "is soft_nms; here"),
        (
            "faster_rcnn/faster-rcnn_r50-caffe_fpn_1x_coco",
            Model.R50,
            "model.backbone.style: caffe",
            "order BGR with deviations [1.0",
        ),
        ("faster_rcnn/faster-rcnn_r50_fpn_fcos-rpn_1x_coco", Model.R50, "rpn_head.type: FCOS", ""),
        ("pafpn/faster-rcnn_r50_pafpn_1x_coco", Model.R50, "model.neck.type: PAFPN", ""),
        ("cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco", Model.R50, "model.type: CascadeRCNN", ""),
    ],
)
def test_published_configuration_is_taken_or_refused_by_its_path(
    name: str, model: Model, refused: str, noted: str
) -> None:
    given = saved_configuration({"cfg": Config.fromfile(PUBLISHED / f"{name}.py").pretty_text})
    assert given is not None
    wanted = detector_config(model_architecture(model), DetectorShape(), 80)
    found = compare(given, wanted, {"backbone.conv1.weight": torch.ones(64, 3, 7, 7)})
    assert refused in "; ".join(found.structural)
    assert bool(refused) == bool(found.structural)
    assert noted in "; ".join(found.notes)
    assert bool(noted) == bool(found.notes)


MMDET_2 = """
model = dict(
    type='FasterRCNN',
    backbone=dict(type='ResNet', depth=50, norm_eval=True, style='{style}',
                  norm_cfg=dict(type='BN', requires_grad=False)),
    neck=dict(type='FPN', in_channels=[256, 512, 1024, 2048], out_channels=256, num_outs=5),
    test_cfg=dict(rpn=dict(nms_pre=1000, nms=dict(type='nms', iou_threshold=0.7))))
img_norm_cfg = dict(mean=[{mean}], std=[{std}], to_rgb={rgb})
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='MultiScaleFlipAug', transforms=[
    dict(type='Resize', keep_ratio=True),
    dict(type='Normalize', mean=[{mean}], std=[{std}], to_rgb={rgb})])]
optimizer = dict(type='SGD', lr=0.02)
custom = open('/etc/passwd')
"""
PYTORCH = MMDET_2.format(
    style="pytorch", mean="123.675, 116.28, 103.53", std="58.395, 57.12, 57.375", rgb=True
)
CAFFE = MMDET_2.format(
    style="caffe", mean="103.53, 116.28, 123.675", std="1.0, 1.0, 1.0", rgb=False
)


def test_caffe_style_of_mmdet_2_is_refused_for_bottlenecks(tmp_path: Path) -> None:
    wanted = detector_config(R50, DetectorShape(), 80)
    state = build_detector(R50, DetectorShape(), 80).state_dict()
    for text in (PYTORCH, CAFFE):
        torch.save({"state_dict": state, "meta": {"config": text}}, tmp_path / "x.pth")
        checkpoint = read_checkpoint(tmp_path / "x.pth")
        names = [str(number) for number in range(80)]
        if text is PYTORCH:
            (note,) = adapt(checkpoint, state, names, configuration=wanted).notes
            assert "does not name its classes" in note
            continue
        with pytest.raises(
            WeightsError, match=r"model\.backbone\.style: caffe, which has each stri"
        ):
            adapt(checkpoint, state, names, configuration=wanted, trained=True)


def test_backbone_of_mmpretrain_for_bgr_pixels_is_converted(tmp_path: Path) -> None:
    backbone = built(stock_model()).backbone
    text = (
        "model = dict(type='ImageClassifier', backbone=dict(type='ResNet', depth=18))\n"
        "data_preprocessor = dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0])\n"
    )
    state = {f"backbone.{name}": value for name, value in backbone.state_dict().items()}
    torch.save({"state_dict": state, "meta": {"cfg": text}}, tmp_path / "x.pth")
    wanted = detector_config(R18, SHAPE, len(CLASSES))
    adapted = read_backbone(tmp_path / "x.pth", backbone.state_dict(), wanted)
    assert "conv1.weight was converted" in adapted.notes[-1]
    red = adapted.state["conv1.weight"][:, 0]
    torch.testing.assert_close(red, state["backbone.conv1.weight"][:, 2] * 58.395)


def test_backbone_in_caffes_style_is_refused(tmp_path: Path) -> None:
    backbone = randomised(build_detector(R50, SHAPE, 3).backbone)
    torch.save({"state_dict": backbone.state_dict(), "meta": {"config": CAFFE}}, tmp_path / "x.pth")
    wanted = detector_config(R50, SHAPE, 3)
    with pytest.raises(WeightsError, match=r"base.backboneWeights: .* model.backbone.style: caffe"):
        read_backbone(tmp_path / "x.pth", backbone.state_dict(), wanted)


def test_long_value_of_a_configuration_is_cut_in_the_refusal() -> None:
    wanted = detector_config(R18, SHAPE, len(CLASSES))
    found = compare({"model": {"neck": {"type": "x" * 9999}}}, wanted, {})
    assert found.structural == [f"model.neck.type: {'x' * 100}…; it must be FPN"]


@pytest.mark.parametrize("key", ["cfg", "config"])
def test_saved_configuration_is_read_as_plain_data(key: str) -> None:
    found = saved_configuration({key: PYTORCH})
    assert found is not None
    assert found["model"]["neck"]["in_channels"] == [256, 512, 1024, 2048]
    assert found["custom"] is None, "a call is not made"


@pytest.mark.parametrize("text", ["model = dict(", "\0", "(" * 5000, "a = {[]: 1}", 3, None])
def test_saved_configuration_that_is_no_plain_data_is_none(text: Any) -> None:
    assert not saved_configuration({"cfg": text})
