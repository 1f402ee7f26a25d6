"""A detector of torchvision gives the same logits and boxes here, or is refused by name.

Images are multiples of 64 pixels: of others torchvision places the anchors of its last level at
another stride, such as 61 where the padded image has 800 pixels.
"""

import re
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet
from torchvision.models.detection import (
    FasterRCNN,
    FasterRCNN_ResNet50_FPN_Weights,
    fasterrcnn_mobilenet_v3_large_fpn,
    fasterrcnn_resnet50_fpn,
    fasterrcnn_resnet50_fpn_v2,
    maskrcnn_resnet50_fpn,
    retinanet_resnet50_fpn,
)
from torchvision.models.detection._utils import overwrite_eps
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops.misc import FrozenBatchNorm2d

from detnas.architecture import Architecture
from detnas.records.settings import DetectorShape, DetectorVariant
from detnas.spec.base import Model, model_architecture
from detnas.store.durable_files import sha256_of
from detnas_trainer.detector import build_detector
from detnas_trainer.foreign import Adapted, adapt, read_checkpoint, torchvision_detector
from detnas_trainer.openmmlab import DetDataSample, TwoStageDetector
from detnas_trainer.weights import WeightsError, save_weights
from tests.trainer.foreign.randomised import randomised

R18, R50 = model_architecture(Model.R18), model_architecture(Model.R50)
STOCK = DetectorShape(variant=DetectorVariant.TORCHVISION)
THIN = DetectorShape(fc=64, variant=DetectorVariant.TORCHVISION)
CLASSES = ("cat", "dog", "bird")
SIDE = 192
SETTINGS: dict[str, Any] = {"box_score_thresh": 0.0, "min_size": SIDE, "max_size": SIDE}


def frozen_r18(classes: int = 4) -> FasterRCNN:
    backbone = resnet.resnet18(weights=None, norm_layer=FrozenBatchNorm2d)
    features = _resnet_fpn_extractor(backbone, 3)
    head, predictor = TwoMLPHead(256 * 7 * 7, THIN.fc), FastRCNNPredictor(THIN.fc, classes)
    return FasterRCNN(features, box_head=head, box_predictor=predictor, **SETTINGS)


def r50() -> FasterRCNN:
    return fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=len(CLASSES) + 1, **SETTINGS
    )


def imported(
    path: Path, architecture: Architecture = R18, shape: DetectorShape = THIN
) -> tuple[TwoStageDetector, Adapted]:
    detector = build_detector(architecture, shape, len(CLASSES)).eval()
    checkpoint, fresh = read_checkpoint(path), detector.state_dict()
    adapted = adapt(checkpoint, fresh, CLASSES, variant=DetectorVariant.TORCHVISION)
    detector.load_state_dict(adapted.state)
    detector.roi_head.test_cfg.score_thr = 0.0
    return detector, adapted


@pytest.fixture(scope="module")
def picture() -> Tensor:
    """Pixels of 3 × SIDE × SIDE, in mmdet's order: blue, green, red."""
    coarse = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(2)) * 255
    smooth = nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic")
    return smooth[0].round().clamp(0, 255).byte()


def our_batch(detector: TwoStageDetector, picture: Tensor) -> dict[str, Any]:
    shape = {"img_shape": (SIDE, SIDE), "ori_shape": (SIDE, SIDE), "scale_factor": (1.0, 1.0)}
    sample = DetDataSample(metainfo=shape)
    return detector.data_preprocessor({"inputs": [picture], "data_samples": [sample]}, False)


def check_same_logits(ours: TwoStageDetector, theirs: Any, picture: Tensor) -> None:
    inputs = our_batch(ours, picture)["inputs"]
    images, _ = theirs.transform([picture[[2, 1, 0]] / 255])
    torch.testing.assert_close(inputs, images.tensors, rtol=1e-5, atol=1e-5)
    features = ours.extract_feat(inputs)
    scores, deltas = ours.rpn_head(features)
    own_scores, own_deltas = theirs.rpn.head(list(theirs.backbone(images.tensors).values()))
    for level in range(5):
        assert own_scores[level].std() > 0.05
        torch.testing.assert_close(scores[level], own_scores[level], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(deltas[level], own_deltas[level], rtol=1e-4, atol=1e-4)
    rois = torch.tensor(
        [[3.0, 5.0, 60.5, 90.0], [20.0, 10.0, 180.0, 170.0], [7.0, 7.0, 23.0, 25.0]]
    )
    pooled = theirs.roi_heads.box_roi_pool(
        theirs.backbone(images.tensors), [rois], images.image_sizes
    )
    logits, boxes = theirs.roi_heads.box_predictor(theirs.roi_heads.box_head(pooled))
    found = ours.roi_head._bbox_forward(features, nn.functional.pad(rois, (1, 0)))
    torch.testing.assert_close(found["cls_score"], logits[:, [1, 2, 3, 0]], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found["bbox_pred"], boxes[:, 4:], rtol=1e-4, atol=1e-4)


def check_same_boxes(ours: TwoStageDetector, theirs: Any, picture: Tensor) -> None:
    (expected,) = theirs([picture[[2, 1, 0]] / 255])
    batch = our_batch(ours, picture)
    (sample,) = ours.predict(batch["inputs"], batch["data_samples"], rescale=False)
    found = sample.pred_instances
    assert len(expected["boxes"]) >= 50
    assert len(set(expected["labels"].tolist())) >= 2
    torch.testing.assert_close(found.scores, expected["scores"], rtol=1e-4, atol=1e-5)
    assert torch.equal(found.labels + 1, expected["labels"])
    torch.testing.assert_close(found.bboxes, expected["boxes"], rtol=1e-4, atol=1e-2)


FORMS: dict[str, Callable[[Path, dict], None]] = {
    "bare": lambda path, state: torch.save(state, path),
    "training script": lambda path, state: torch.save(
        {"model": {f"module.{n}": v for n, v in state.items()}, "args": Namespace(lr=0.1)}, path
    ),
    "safetensors": save_weights,
}


@pytest.fixture
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.usefixtures("no_gradients")
@pytest.mark.parametrize(
    ("make", "architecture", "shape", "form"),
    [(r50, R50, STOCK, "bare"), *((frozen_r18, R18, THIN, form) for form in FORMS)],
)
def test_detector_of_torchvision_gives_the_same_logits_and_boxes(
    tmp_path: Path,
    picture: Tensor,
    make: Callable,
    architecture: Architecture,
    shape: DetectorShape,
    form: str,
) -> None:
    theirs = randomised(make())
    FORMS[form](tmp_path / "x", theirs.state_dict())
    ours, adapted = imported(tmp_path / "x", architecture, shape)
    assert "tensors were renamed from torchvision's names" in adapted.notes[0]
    assert any("batch norms are frozen" in note for note in adapted.notes) == (make is frozen_r18)
    check_same_logits(ours, theirs, picture)
    check_same_boxes(ours, theirs, picture)


@pytest.mark.usefixtures("no_gradients")
def test_published_coco_weights_keep_their_epsilon_of_0(
    tmp_path: Path, picture: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = randomised(frozen_r18(), least_variance=1e-7)
    overwrite_eps(theirs, 0.0)
    torch.save(theirs.state_dict(), tmp_path / "x.pth")
    digest = sha256_of(tmp_path / "x.pth")
    monkeypatch.setattr(torchvision_detector, "_COCO_DIGEST", digest[:8])
    ours, adapted = imported(tmp_path / "x.pth")
    assert any("epsilon of 0 was worked into their scales" in note for note in adapted.notes)
    check_same_logits(ours, theirs, picture)


def test_small_variances_of_frozen_norms_are_noted(tmp_path: Path) -> None:
    theirs = randomised(frozen_r18())
    theirs.backbone.body.bn1.running_var[:7] = 1e-6
    torch.save(theirs.state_dict(), tmp_path / "x.pth")
    notes = read_checkpoint(tmp_path / "x.pth").notes
    assert "7 channels with variances below 0.001 would be scaled otherwise" in notes[-1]


def test_91_unnamed_rows_are_the_80_classes_of_coco(tmp_path: Path) -> None:
    state = frozen_r18(91).state_dict()
    names = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    state["roi_heads.box_predictor.cls_score.bias"] = torch.arange(91.0)
    state["roi_heads.box_predictor.bbox_pred.bias"] = torch.arange(91.0).repeat_interleave(4)
    torch.save(state, tmp_path / "x.pth")
    found = read_checkpoint(tmp_path / "x.pth")
    assert found.classes is not None
    assert len(found.classes) == 80
    scores = found.state["roi_head.bbox_head.fc_cls.bias"].int().tolist()
    assert [names[row] for row in scores] == [*found.classes, "__background__"]
    boxes = found.state["roi_head.bbox_head.fc_reg.bias"].view(80, 4)
    assert boxes.int().tolist() == [[row] * 4 for row in scores[:-1]]
    assert any("N/A are left out" in note for note in found.notes)


def test_names_before_torchvision_0_13_are_read(tmp_path: Path) -> None:
    state = frozen_r18().state_dict()
    old = {
        re.sub(r"(fpn\.\w+_blocks\.\d|head\.conv)\.0(\.0)?\.(weight|bias)", r"\1.\3", name): value
        for name, value in state.items()
    }
    assert {"backbone.fpn.inner_blocks.0.weight", "rpn.head.conv.bias"} <= old.keys()
    for path, content in ((tmp_path / "new", state), (tmp_path / "old", old)):
        torch.save(content, path)
    new = read_checkpoint(tmp_path / "new").state
    assert read_checkpoint(tmp_path / "old").state.keys() == new.keys()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (fasterrcnn_resnet50_fpn_v2, "fasterrcnn_resnet50_fpn_v2: unlike version 1 it has batch n"),
        (maskrcnn_resnet50_fpn, "a Mask R-CNN"),
        (retinanet_resnet50_fpn, "a one-stage detector"),
        (fasterrcnn_mobilenet_v3_large_fpn, "a detector with a MobileNetV3 or without an FPN"),
    ],
)
def test_other_detectors_of_torchvision_are_refused_by_name(
    tmp_path: Path, make: Callable, said: str
) -> None:
    torch.save(make(weights=None, weights_backbone=None).state_dict(), tmp_path / "x.pth")
    with pytest.raises(WeightsError) as caught:
        read_checkpoint(tmp_path / "x.pth")
    assert f"base.weights: {tmp_path / 'x.pth'}, of torchvision, is {said}" in caught.value.problem
    assert "version 1" in caught.value.remedy


def test_another_variant_is_refused_unless_the_base_is_trained(tmp_path: Path) -> None:
    torch.save(frozen_r18().state_dict(), tmp_path / "x.pth")
    checkpoint = read_checkpoint(tmp_path / "x.pth")
    fresh = build_detector(R18, DetectorShape(fc=64), len(CLASSES)).state_dict()
    with pytest.raises(WeightsError, match="set detector.variant to Torchvision; or add base.trai"):
        adapt(checkpoint, fresh, CLASSES)
    notes = adapt(checkpoint, fresh, CLASSES, trained=True).notes
    assert "of detector.variant Torchvision, this detector's are Mmdet's" in notes[-1]
