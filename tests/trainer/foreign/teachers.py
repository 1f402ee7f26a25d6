"""Thin detectors of mmdet with random weights, as teachers of one's own: configuration and file."""

import copy
from pathlib import Path
from pprint import pformat
from typing import Any

import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope

from tests.trainer.conftest import CLASSES
from tests.trainer.foreign.randomised import randomised

NECK = 12
_STDS = ((0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1), (0.033, 0.033, 0.067, 0.067))


def _box_head(stds: tuple[float, ...], agnostic: bool) -> dict[str, Any]:
    return {
        "type": "Shared2FCBBoxHead",
        "in_channels": NECK,
        "fc_out_channels": 16,
        "roi_feat_size": 7,
        "num_classes": len(CLASSES),
        "bbox_coder": {
            "type": "DeltaXYWHBBoxCoder",
            "target_means": [0.0] * 4,
            "target_stds": list(stds),
        },
        "reg_class_agnostic": agnostic,
        "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": False},
        "loss_bbox": {"type": "SmoothL1Loss", "beta": 1.0},
    }


def _extractor(side: int, strides: list[int]) -> dict[str, Any]:
    return {
        "type": "SingleRoIExtractor",
        "roi_layer": {"type": "RoIAlign", "output_size": side, "sampling_ratio": 0},
        "out_channels": NECK,
        "featmap_strides": strides,
    }


_MODEL: dict[str, Any] = {
    "type": "FasterRCNN",
    "data_preprocessor": {
        "type": "DetDataPreprocessor",
        "mean": [103.53, 116.28, 123.675],
        "std": [1.0, 1.0, 1.0],
        "bgr_to_rgb": False,
        "pad_size_divisor": 32,
    },
    "backbone": {
        "type": "ResNet",
        "depth": 18,
        "base_channels": 8,
        "norm_cfg": {"type": "BN", "requires_grad": True},
        "init_cfg": {"type": "Pretrained", "checkpoint": "torchvision://resnet18"},
    },
    "neck": {
        "type": "FPN",
        "in_channels": [8, 16, 32, 64],
        "out_channels": NECK,
        "num_outs": 5,
    },
    "rpn_head": {
        "type": "RPNHead",
        "in_channels": NECK,
        "feat_channels": NECK,
        "anchor_generator": {
            "type": "AnchorGenerator",
            "scales": [2],
            "ratios": [0.5, 1.0, 2.0],
            "strides": [4, 8, 16, 32, 64],
        },
        "bbox_coder": {"type": "DeltaXYWHBBoxCoder"},
        "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": True},
        "loss_bbox": {"type": "L1Loss"},
    },
    "roi_head": {
        "type": "StandardRoIHead",
        "bbox_roi_extractor": _extractor(7, [4, 8, 16, 32]),
        "bbox_head": _box_head(_STDS[0], agnostic=False),
    },
    "train_cfg": None,
    "test_cfg": {
        "rpn": {"nms_pre": 50, "max_per_img": 50, "nms": {"type": "nms", "iou_threshold": 0.7}},
        "rcnn": {"score_thr": 0.0, "nms": {"type": "nms", "iou_threshold": 0.5}},
    },
}


def faster() -> dict[str, Any]:
    """A Faster R-CNN that takes Caffe's pixels: BGR, not divided."""
    return copy.deepcopy(_MODEL)


def cascade() -> dict[str, Any]:
    """A Cascade R-CNN of three stages with one box for all classes, with deformable stages."""
    model = faster()
    model["type"] = "CascadeRCNN"
    model["backbone"] |= {
        "depth": 50,
        "base_channels": 4,
        "dcn": {"type": "DCN", "deform_groups": 1, "fallback_on_stride": False},
        "stage_with_dcn": (False, True, True, True),
    }
    model["neck"]["in_channels"] = [16, 32, 64, 128]
    model["roi_head"] |= {
        "type": "CascadeRoIHead",
        "num_stages": 3,
        "stage_loss_weights": [1, 0.5, 0.25],
        "bbox_head": [_box_head(stds, agnostic=True) for stds in _STDS],
    }
    return model


def hybrid(semantic: bool = False) -> dict[str, Any]:
    """An HTC, whose mask heads do not teach; with `semantic` its box heads use that branch, too."""
    model = cascade()
    model["type"] = "HybridTaskCascade"
    mask = {
        "type": "HTCMaskHead",
        "num_convs": 1,
        "in_channels": NECK,
        "conv_out_channels": NECK,
        "num_classes": len(CLASSES),
        "loss_mask": {"type": "CrossEntropyLoss", "use_mask": True},
    }
    model["roi_head"] |= {
        "type": "HybridTaskCascadeRoIHead",
        "interleaved": True,
        "mask_info_flow": True,
        "mask_roi_extractor": _extractor(14, [4, 8, 16, 32]),
        "mask_head": [{**mask, "with_conv_res": False}, mask, mask],
    }
    if semantic:
        model["roi_head"]["semantic_roi_extractor"] = _extractor(14, [8])
        model["roi_head"]["semantic_head"] = {
            "type": "FusedSemanticHead",
            "num_ins": 5,
            "fusion_level": 1,
            "num_convs": 1,
            "in_channels": NECK,
            "conv_out_channels": NECK,
            "num_classes": 5,
            "loss_seg": {"type": "CrossEntropyLoss", "ignore_index": 255},
        }
    return model


def mmdets(model: dict[str, Any]) -> Any:
    """mmdet's own detector with random weights, in evaluation mode."""
    torch.manual_seed(0)  # deformable convolutions are no Conv2d, which are randomised
    with DefaultScope.overwrite_default_scope("mmdet"):
        return randomised(MODELS.build(ConfigDict(copy.deepcopy(model))))


def write_teacher(
    folder: Path, model: dict[str, Any], classes: tuple[str, ...] = CLASSES
) -> tuple[Path, Path]:
    """Configuration and checkpoint, as mmengine dumps and saves them."""
    config, weights = folder / "teacher.py", folder / "teacher.pth"
    config.write_text(f"model = {pformat(model)}\ndefault_scope = 'mmdet'\n")
    meta = {"dataset_meta": {"classes": classes}}
    torch.save({"state_dict": mmdets(model).state_dict(), "meta": meta}, weights)
    return config, weights
