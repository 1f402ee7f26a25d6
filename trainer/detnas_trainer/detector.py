"""Faster R-CNN with FPN around an evolvable backbone: as mmdet configuration, and built."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from detnas.architecture import Architecture
from detnas.records.settings import DetectorShape, DetectorVariant
from detnas_trainer.openmmlab import MODELS, ConfigDict, DefaultScope, MMLogger, TwoStageDetector
from detnas_trainer.weights import check_state

# isort: split
# After openmmlab, which makes mmdet importable without mmcv's operators.
import detnas_trainer.anchors
import detnas_trainer.backbone  # noqa: F401 - both register what configurations name

ADAPTOR = "adaptor"
"""Name of a distillation adaptor among a student's modules, where it is trained with the others."""

ADAPTOR_PREFIX = f"{ADAPTOR}."
"""Prefix of its tensors in a student's weights file."""

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
    return config


def detector_config(
    architecture: Architecture, shape: DetectorShape, classes: int, neck: int | None = None
) -> dict[str, Any]:
    """Configuration, for mmdet, of the detector: plain data that `MODELS.build` takes.

    Everything that `shape` does not set is mmdet's own Faster R-CNN with FPN.

    Args:
        architecture: the backbone.
        shape: everything around the backbone.
        classes: number of classes, background not counted.
        neck: channels of the FPN where they differ from the shape's, as for a teacher.
    """
    neck = neck or shape.neck
    return {
        "type": "FasterRCNN",
        "data_preprocessor": {
            "type": "DetDataPreprocessor",
            "mean": [123.675, 116.28, 103.53],
            "std": [58.395, 57.12, 57.375],
            "bgr_to_rgb": True,
            "pad_size_divisor": shape.pad_divisor,
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


def build_detector(
    architecture: Architecture, shape: DetectorShape, classes: int, neck: int | None = None
) -> TwoStageDetector:
    """A freshly initialised detector; draws from torch's global generator.

    The arguments are those of `detector_config`.
    """
    detector = _build(detector_config(architecture, shape, classes, neck))
    with _quiet():
        detector.init_weights()
    return detector


def load_detector(
    architecture: Architecture,
    shape: DetectorShape,
    classes: int,
    state: Mapping[str, Tensor],
    neck: int | None = None,
) -> TwoStageDetector:
    """A detector with the weights given; nothing is drawn at random.

    `state` is copied, without tensors under ``adaptor.``; the other arguments are those of
    `detector_config`.

    Raises:
        WeightsMismatchError: a tensor is missing, unexpected, or of another shape.
    """
    with _WithoutInitialisation():
        detector = _build(detector_config(architecture, shape, classes, neck))
    own = detector_state(state)
    check_state(own, detector.state_dict())
    detector.load_state_dict(own)
    return detector


def detector_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The detector's own tensors of a student's state, without the distillation adaptor's."""
    return {name: value for name, value in state.items() if not name.startswith(ADAPTOR_PREFIX)}


def _build(config: dict[str, Any]) -> TwoStageDetector:
    # mmengine looks up the preprocessor in its own registry unless the scope says otherwise.
    with DefaultScope.overwrite_default_scope("mmdet"):
        detector = MODELS.build(ConfigDict(config))
    _keep_boxes_exact(detector)
    return detector


def _keep_boxes_exact(detector: TwoStageDetector) -> None:
    """Compute boxes in 32 bits under autocast too: with 16 they would be off by several pixels."""
    detector.rpn_head.register_forward_hook(lambda _module, _inputs, outputs: _in_32_bits(outputs))
    head = detector.roi_head
    # mmdet gives RoIs the type of the features.
    head.bbox_roi_extractor.register_forward_pre_hook(lambda _module, inputs: _in_32_bits(inputs))
    head.bbox_head.register_forward_hook(lambda _module, _inputs, outputs: _in_32_bits(outputs))


def _in_32_bits(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.dtype in {torch.bfloat16, torch.float16} else value
    if isinstance(value, tuple | list):
        return type(value)(map(_in_32_bits, value))
    return value


@contextmanager
def _quiet() -> Iterator[None]:
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


class _WithoutInitialisation(TorchFunctionMode):
    """Leaves tensors as allocated: for models whose weights are set right afterwards."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        # A mode sees the call of some initialisers, and only the final draw of others.
        if getattr(func, "__module__", None) == "torch.nn.init" or func in _DRAWS:
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


_DRAWS = (Tensor.uniform_, Tensor.normal_)


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
            "scales": [shape.anchor_scale],
            "ratios": [0.5, 1.0, 2.0],
            "strides": list(STRIDES),
        },
        "bbox_coder": _box_coder((1.0, 1.0, 1.0, 1.0)),
        "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0},
        "loss_bbox": {"type": "L1Loss", "loss_weight": 1.0},
    }


def _roi_head(shape: DetectorShape, neck: int, classes: int) -> dict[str, Any]:
    return {
        "type": "StandardRoIHead",
        "bbox_roi_extractor": {
            "type": "SingleRoIExtractor",
            "roi_layer": {"type": "RoIAlign", "output_size": 7, **_ROI_ALIGN[shape.variant]},
            "out_channels": neck,
            "featmap_strides": list(STRIDES[:-1]),
        },
        "bbox_head": {
            "type": "Shared2FCBBoxHead",
            "in_channels": neck,
            "fc_out_channels": shape.fc,
            "roi_feat_size": 7,
            "num_classes": classes,
            "bbox_coder": _box_coder((0.1, 0.1, 0.2, 0.2)),
            "reg_class_agnostic": False,
            "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0},
            "loss_bbox": {"type": "L1Loss", "loss_weight": 1.0},
        },
    }


def _box_coder(stds: tuple[float, ...]) -> dict[str, Any]:
    return {
        "type": "DeltaXYWHBBoxCoder",
        "target_means": [0.0, 0.0, 0.0, 0.0],
        "target_stds": list(stds),
    }


def _train_settings(shape: DetectorShape) -> dict[str, Any]:
    return {
        "rpn": {
            "assigner": _assigner((0.7, 0.3, 0.3), match_low_quality=True),
            "sampler": _sampler(256, 0.5, add_gt_as_proposals=False),
            "allowed_border": -1,
            "pos_weight": -1,
            "debug": False,
        },
        "rpn_proposal": _proposals(shape, before_nms=2 * shape.proposals),
        "rcnn": {
            "assigner": _assigner((0.5, 0.5, 0.5), match_low_quality=False),
            "sampler": _sampler(shape.roi_samples, 0.25, add_gt_as_proposals=True),
            "pos_weight": -1,
            "debug": False,
        },
    }


def _test_settings(shape: DetectorShape) -> dict[str, Any]:
    return {
        "rpn": _proposals(shape, before_nms=shape.proposals),
        "rcnn": {
            "score_thr": 0.05,
            "nms": {"type": "nms", "iou_threshold": 0.5},
            "max_per_img": 100,
        },
    }


def _proposals(shape: DetectorShape, before_nms: int) -> dict[str, Any]:
    return {
        "nms_pre": before_nms,
        "max_per_img": shape.proposals,
        "nms": {"type": "nms", "iou_threshold": 0.7},
        "min_bbox_size": 0,
    }


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
