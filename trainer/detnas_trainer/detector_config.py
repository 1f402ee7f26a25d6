"""Faster or Cascade R-CNN with FPN around an evolvable backbone, as mmdet's configuration."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from detnas.architecture import Architecture
from detnas.records.settings import BoxStage, DetectorShape, DetectorVariant, PixelOrder

STRIDES = (4, 8, 16, 32, 64)
"""Strides of the FPN's levels, in pixels; RoIs are taken from all but the last."""


def backbone_config(architecture: Architecture) -> dict[str, Any]:
    """The backbone as plain data."""
    config: dict[str, Any] = {
        "type": "EvolvableBackbone",
        "family": str(architecture.family),
        "stem": architecture.stem,
        "stages": [[list(block.widths) for block in stage] for stage in architecture.stages],
    }
    if groups := architecture.group_widths:
        config["group_widths"] = [list(stage) for stage in groups]
    if architecture.deformable:
        config["deformable"] = list(architecture.deformable)
    return config


def detector_config(
    architecture: Architecture, shape: DetectorShape, classes: int, neck: int | None = None
) -> dict[str, Any]:
    """Configuration, for mmdet, of the detector: plain data that `MODELS.build` takes.

    Everything that `shape` does not set is mmdet's own Faster or Cascade R-CNN with FPN.

    Args:
        architecture: the backbone.
        shape: everything around the backbone.
        classes: number of classes, background not counted.
        neck: channels of the FPN where they differ from the shape's, as for a teacher.
    """
    neck = neck or shape.neck
    return {
        "type": "CascadeRCNN" if shape.is_cascade else "FasterRCNN",
        "data_preprocessor": {
            "type": "DetDataPreprocessor",
            "mean": _numbers(shape.pixels.mean),
            "std": _numbers(shape.pixels.std),
            "bgr_to_rgb": shape.pixels.order is PixelOrder.RGB,  # images are read as BGR
            "pad_size_divisor": shape.pad_divisor,
            "non_blocking": True,  # batches are in pinned memory
        },
        "backbone": backbone_config(architecture),
        "neck": {
            "type": "FPN",
            "in_channels": list(architecture.neck_inputs),
            "out_channels": neck,
            "num_outs": len(STRIDES),
        },
        "rpn_head": _rpn_head(shape, neck),
        "roi_head": _roi_head(shape, neck, classes),
        "train_cfg": _train_settings(shape),
        "test_cfg": _test_settings(shape),
    }


_ANCHORS = {
    DetectorVariant.MMDET: "AnchorGenerator",
    DetectorVariant.TORCHVISION: "WholePixelAnchorGenerator",
}
_ROI_ALIGN: dict[DetectorVariant, dict[str, Any]] = {
    DetectorVariant.MMDET: {"sampling_ratio": 0},  # as many samples as a bin has pixels
    DetectorVariant.TORCHVISION: {"sampling_ratio": 2, "aligned": False},
}


def _rpn_head(shape: DetectorShape, neck: int) -> dict[str, Any]:
    return {
        "type": "RPNHead",
        "in_channels": neck,
        "feat_channels": neck,
        "anchor_generator": {
            "type": _ANCHORS[shape.variant],
            "scales": list(shape.scales),
            "ratios": _numbers(shape.anchor_ratios),
            "strides": list(STRIDES),
        },
        "bbox_coder": _box_coder(shape.rpn_stds),
        "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0},
        "loss_bbox": _box_loss(shape.betas[0]),
    }


def _roi_head(shape: DetectorShape, neck: int, classes: int) -> dict[str, Any]:
    heads = [_box_head(shape, stage, neck, classes) for stage in shape.box_stages]
    extractor = {
        "type": "SingleRoIExtractor",
        "roi_layer": {
            "type": "RoIAlign",
            "output_size": shape.roi_size,
            **_ROI_ALIGN[shape.variant],
        },
        "out_channels": neck,
        "featmap_strides": list(STRIDES[:-1]),
        "finest_scale": shape.roi_finest_scale,
    }
    if not shape.is_cascade:
        return {"type": "StandardRoIHead", "bbox_roi_extractor": extractor, "bbox_head": heads[0]}
    return {
        "type": "CascadeRoIHead",
        "num_stages": len(heads),
        "stage_loss_weights": _numbers(stage.loss_weight for stage in shape.box_stages),
        "bbox_roi_extractor": extractor,
        "bbox_head": heads,
    }


def _box_head(shape: DetectorShape, stage: BoxStage, neck: int, classes: int) -> dict[str, Any]:
    # A cascade applies the stage's weight to both losses itself.
    weight = 1.0 if shape.is_cascade else float(stage.loss_weight)
    return {
        "type": "Shared2FCBBoxHead",
        "in_channels": neck,
        "fc_out_channels": shape.fc,
        "roi_feat_size": shape.roi_size,
        "num_classes": classes,
        "bbox_coder": _box_coder(stage.stds),
        "reg_class_agnostic": shape.is_cascade,
        "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": weight},
        "loss_bbox": _box_loss(shape.betas[1], weight),
    }


def _box_loss(beta: float, weight: float = 1.0) -> dict[str, Any]:
    if not beta:
        return {"type": "L1Loss", "loss_weight": weight}
    return {"type": "SmoothL1Loss", "beta": beta, "loss_weight": weight}


def _box_coder(stds: Iterable[Decimal]) -> dict[str, Any]:
    return {
        "type": "DeltaXYWHBBoxCoder",
        "target_means": [0.0, 0.0, 0.0, 0.0],
        "target_stds": _numbers(stds),
    }


def _train_settings(shape: DetectorShape) -> dict[str, Any]:
    stages = [
        {
            "assigner": _assigner((float(stage.iou),) * 3, match_low_quality=False),
            "sampler": _sampler(shape.roi_samples, 0.25, add_gt_as_proposals=True),
            "pos_weight": -1,
            "debug": False,
        }
        for stage in shape.box_stages
    ]
    return {
        "rpn": {
            "assigner": _assigner((0.7, 0.3, 0.3), match_low_quality=True),
            "sampler": _sampler(256, 0.5, add_gt_as_proposals=False),
            # How far beyond the image an anchor may reach that is trained; -1 sets no limit.
            "allowed_border": 0 if shape.is_cascade else -1,
            "pos_weight": -1,
            "debug": False,
        },
        "rpn_proposal": _proposals(shape, 2 * shape.proposals, shape.proposals_in_training),
        "rcnn": stages if shape.is_cascade else stages[0],
    }


def _test_settings(shape: DetectorShape) -> dict[str, Any]:
    boxes = shape.boxes
    return {
        "rpn": _proposals(shape, shape.proposals, shape.proposals),
        "rcnn": {
            "score_thr": float(boxes.score_threshold),
            "nms": {"type": "nms", "iou_threshold": float(boxes.nms_iou)},
            "max_per_img": boxes.max_per_image,
        },
    }


def _proposals(shape: DetectorShape, before_nms: int, number: int) -> dict[str, Any]:
    return {
        "nms_pre": before_nms,
        "max_per_img": number,
        "nms": {"type": "nms", "iou_threshold": float(shape.proposal_nms_iou)},
        "min_bbox_size": 0,
    }


def _numbers(values: Iterable[Decimal]) -> list[float]:
    return [float(value) for value in values]


def _assigner(thresholds: tuple[float, float, float], *, match_low_quality: bool) -> dict[str, Any]:
    positive, negative, least = thresholds
    return {
        "type": "MaxIoUAssigner",
        "pos_iou_thr": positive,
        "neg_iou_thr": negative,
        "min_pos_iou": least,
        "match_low_quality": match_low_quality,
        "ignore_iof_thr": -1,
    }


def _sampler(number: int, positive: float, *, add_gt_as_proposals: bool) -> dict[str, Any]:
    return {
        "type": "RandomSampler",
        "num": number,
        "pos_fraction": positive,
        "neg_pos_ub": -1,
        "add_gt_as_proposals": add_gt_as_proposals,
    }
