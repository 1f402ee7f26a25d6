"""The detector around the backbone: mmdet's Faster R-CNN, in the shape asked for."""

import inspect

import pytest
import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.hub import get_config

from detnas.architecture import parse
from detnas.records.settings import DetectorShape, HeadKind
from detnas_trainer.detector import build_detector, load_detector
from detnas_trainer.detector_config import detector_config
from detnas_trainer.weights import WeightsMismatchError
from tests.trainer.samples import sample

ARCHITECTURE = parse("[(4, 8)], [(4, 8)-(6, 12)], [(4, 8)], [(4, 16)]", stem=8)
SHAPE = DetectorShape(neck=8, fc=16, proposals=30, roi_samples=12, anchor_scale=4)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (HeadKind.STANDARD, "faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py"),
        (HeadKind.CASCADE, "cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py"),
    ],
)
def test_default_shape_is_mmdets_own(head: HeadKind, name: str) -> None:
    stock = get_config(f"mmdet::{name}").model.to_dict()
    ours = detector_config(ARCHITECTURE, DetectorShape(head=head), 80)
    stock["neck"]["in_channels"] = ours["neck"]["in_channels"]
    finest = inspect.signature(SingleRoIExtractor).parameters["finest_scale"].default
    stock["roi_head"]["bbox_roi_extractor"]["finest_scale"] = finest
    for part in stock.keys() - {"backbone", "data_preprocessor"}:
        assert ours[part] == stock[part], part
    stock["data_preprocessor"].pop("pad_mask", None)
    # mmdet waits for every copy to the GPU; what is copied is the same.
    assert ours["data_preprocessor"] == stock["data_preprocessor"] | {"non_blocking": True}


def test_shape_reaches_every_part() -> None:
    detector = build_detector(ARCHITECTURE, SHAPE, 3)
    assert detector.rpn_head.rpn_conv.weight.shape == (8, 8, 3, 3)
    assert detector.roi_head.bbox_head.shared_fcs[0].weight.shape == (16, 8 * 49)
    assert detector.roi_head.bbox_head.fc_cls.out_features == 4
    assert detector.roi_head.bbox_head.fc_reg.out_features == 12
    assert detector.roi_head.bbox_sampler.num == 12
    assert detector.test_cfg.rpn.max_per_img == 30
    assert detector.rpn_head.prior_generator.scales.tolist() == [4]


def test_teachers_neck_overrides_the_shapes() -> None:
    detector = build_detector(ARCHITECTURE, SHAPE, 3, neck=12)
    assert detector.neck.out_channels == 12
    assert detector.roi_head.bbox_head.shared_fcs[0].in_features == 12 * 49


def test_loading_gives_the_same_detections() -> None:
    torch.manual_seed(0)
    built = build_detector(ARCHITECTURE, SHAPE, 3).eval()
    state = {name: value.clone() for name, value in built.state_dict().items()}
    before = torch.get_rng_state()
    loaded = load_detector(
        ARCHITECTURE, SHAPE, 3, state | {"adaptor.weight": torch.zeros(1)}
    ).eval()

    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(state[n], v) for n, v in loaded.state_dict().items())
    image = {"inputs": torch.randn(1, 3, 64, 64), "data_samples": [sample()]}
    expected, found = (d(**image, mode="predict")[0].pred_instances for d in (built, loaded))
    assert torch.equal(expected.bboxes, found.bboxes)
    assert torch.equal(expected.scores, found.scores)


def test_training_a_loaded_detector_leaves_the_given_weights_alone() -> None:
    state = build_detector(ARCHITECTURE, SHAPE, 3).state_dict()
    kept = {name: value.clone() for name, value in state.items()}
    detector = load_detector(ARCHITECTURE, SHAPE, 3, state).train()
    losses = detector(torch.randn(1, 3, 64, 64), [sample()], mode="loss")
    detector.parse_losses(losses)[0].backward()
    torch.optim.SGD(detector.parameters(), 0.1).step()
    assert all(torch.equal(kept[name], value) for name, value in state.items())


def test_initialisation_follows_the_global_seed() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(7)
        states.append(build_detector(ARCHITECTURE, SHAPE, 3).state_dict())
    assert all(torch.equal(states[0][name], value) for name, value in states[1].items())


def test_weights_of_another_architecture_are_refused_by_name() -> None:
    state = build_detector(ARCHITECTURE, SHAPE, 3).state_dict()
    other = parse("[(4, 8)-(4, 8)], [(5, 8)], [(4, 8)], [(4, 16)]", stem=8)
    with pytest.raises(WeightsMismatchError) as caught:
        load_detector(other, SHAPE, 3, state)
    assert "backbone.layer1.1.conv1.weight" in caught.value.missing
    assert "backbone.layer2.1.conv1.weight" in caught.value.unexpected
    name, given, expected = next(m for m in caught.value.mismatched if "layer2.0.conv1" in m[0])
    assert (given, expected) == ((4, 8, 3, 3), (5, 8, 3, 3))
    assert name in str(caught.value)


def test_registry_of_mmdet_knows_the_backbone() -> None:
    register_all_modules(init_default_scope=False)
    assert MODELS.get("EvolvableBackbone") is not None
