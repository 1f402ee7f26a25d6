"""What a checkpoint's configuration says of its model, compared with the detector it is for.

Only what the configuration states is compared: the rest is mmdet's default in both.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from detnas_trainer.foreign.configuration import Settings, value_at, values_at
from detnas_trainer.foreign.pixels import for_our_pixels, pixels_in, pixels_of
from detnas_trainer.weights import State, WeightsError

_SHOWN = 100
_RESIDUAL = ("ResNet", "ResNeXt", "MobileNetV2")

_STRUCTURE = {
    "backbone.type": _RESIDUAL,
    "backbone.strides": ([1, 2, 2, 2],),
    "backbone.dilations": ([1, 1, 1, 1],),
    "backbone.deep_stem": (False,),
    "backbone.avg_down": (False,),
    "neck.type": ("FPN",),
    "neck.start_level": (0,),
    "neck.add_extra_convs": (False,),
    "rpn_head.type": ("RPNHead",),
    "roi_head.bbox_head.type": ("Shared2FCBBoxHead", "ConvFCBBoxHead"),
    "roi_head.bbox_roi_extractor.type": ("SingleRoIExtractor",),
}
"""What no training mends: paths below `model`, and the values that are supported."""

_SAME = ("type", "roi_head.type", "roi_head.num_stages")
"""What no training mends either, and must be as in the detector."""

_STYLES = ("Bottleneck", "ResNeXt")
"""Families whose blocks have a 1×1 convolution that may carry the stride: Caffe's style."""

_ANCHORS = "rpn_head.anchor_generator"
_ROIS = "roi_head.bbox_roi_extractor"
_BOXES = "roi_head.bbox_head"
_DEFAULTS: dict[str, Any] = {
    f"{_ANCHORS}.type": "AnchorGenerator",
    f"{_ANCHORS}.scales": None,
    f"{_ANCHORS}.ratios": None,
    f"{_ANCHORS}.strides": None,
    f"{_ANCHORS}.base_sizes": None,
    f"{_ANCHORS}.octave_base_scale": None,
    f"{_ANCHORS}.scales_per_octave": None,
    f"{_ANCHORS}.centers": None,
    f"{_ANCHORS}.center_offset": 0,
    "rpn_head.bbox_coder.type": "DeltaXYWHBBoxCoder",
    "rpn_head.bbox_coder.target_means": None,
    "rpn_head.bbox_coder.target_stds": None,
    "rpn_head.loss_cls.use_sigmoid": None,
    f"{_ROIS}.roi_layer.type": None,
    f"{_ROIS}.roi_layer.output_size": None,
    f"{_ROIS}.roi_layer.sampling_ratio": 0,
    f"{_ROIS}.roi_layer.aligned": True,
    f"{_ROIS}.roi_layer.pool_mode": "avg",
    f"{_ROIS}.featmap_strides": None,
    f"{_ROIS}.finest_scale": 56,
    f"{_BOXES}.bbox_coder.type": "DeltaXYWHBBoxCoder",
    f"{_BOXES}.bbox_coder.target_means": None,
    f"{_BOXES}.bbox_coder.target_stds": None,
    f"{_BOXES}.roi_feat_size": None,
    f"{_BOXES}.reg_class_agnostic": False,
    f"{_BOXES}.loss_cls.use_sigmoid": False,
    "backbone.norm_cfg.eps": 1e-5,
}
"""Paths that training can adapt to, and mmdet's defaults where the detector here states nothing."""

_TEST_SETTINGS = (
    "rpn.nms_pre", "rpn.max_per_img", "rpn.nms.iou_threshold", "rpn.min_bbox_size",
    "rcnn.score_thr", "rcnn.max_per_img", "rcnn.nms.type", "rcnn.nms.iou_threshold",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a checkpoint's model differs from the detector it is for, a clause for each difference.

    Attributes:
        structural: what the detector cannot be.
        adaptable: what its weights were not trained for, and would learn.
        notes: what concerns the choice of boxes, not the weights; and what was converted.
        state: the weights, converted where they expect other pixels.
    """

    structural: list[str] = field(default_factory=list)
    adaptable: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    state: State = field(default_factory=dict)


def compare(given: Settings, wanted: Settings, state: State, part: str = "") -> Comparison:
    """Compare a checkpoint's configuration with a detector's.

    Args:
        given: the checkpoint's, of mmdet 2 or 3, or of mmpretrain.
        wanted: `detector_config` of the detector.
        state: the checkpoint's weights, by the detector's names.
        part: only what is below it is compared, such as ``backbone.``.
    """
    model = given.get("model")
    model = model if isinstance(model, Mapping) else {}
    found = Comparison(
        structural=[*_unsupported(model, wanted, part), *_other_style(model, wanted)],
        adaptable=list(_untrained(model, wanted, part)),
        state=dict(state),
    )
    _compare_pixels(given, wanted["data_preprocessor"], found)
    if not part:
        found.notes.extend(_other_test_settings(given, wanted))
    return found


def refuse_differences(field: str, found: Comparison, *, trained: bool) -> None:
    """Refuse a checkpoint whose model is another than the detector it is for.

    Args:
        field: of the manifest, that names the checkpoint.
        found: the comparison.
        trained: training will follow, which adapts what can be adapted.

    Raises:
        WeightsError: it names each difference by its path in the configuration.
    """
    differences = [*found.structural, *([] if trained else found.adaptable)]
    if differences:
        remedy = "give weights of such a detector, or describe theirs in spec.detector"
        if not found.structural:
            remedy += "; or add base.train, to adapt the base"
        raise WeightsError(
            f"{field}: the checkpoint's own configuration differs: {'; '.join(differences)}", remedy
        )


def _unsupported(model: Settings, wanted: Settings, part: str) -> Iterator[str]:
    same = {path: (value_at(wanted, path, 1),) for path in _SAME}  # one stage, if unstated
    for path, supported in {**_STRUCTURE, **same}.items():
        for at, value in values_at(model, path):
            if path.startswith(part) and _plain(value) not in supported:
                allowed = " or ".join(map(str, supported))
                yield f"model.{at}: {_shown(value)}; it must be {allowed}"


def _other_style(model: Settings, wanted: Settings) -> Iterator[str]:
    is_caffe = value_at(model, "backbone.style") == "caffe"
    if is_caffe and wanted["backbone"]["family"] in _STYLES:
        yield (
            "model.backbone.style: caffe, which has each stride in a block's first convolution, "
            "where the detectors here have it in the second"
        )


def _untrained(model: Settings, wanted: Settings, part: str) -> Iterator[str]:
    """Settings of the detector that the checkpoint's weights were not trained for."""
    for path, default in _DEFAULTS.items():
        for at, value in values_at(model, path):
            here = value_at(wanted, at, default)
            if path.startswith(part) and _plain(value) != _plain(here):
                yield f"model.{at}: {_shown(value)}, here {here}"


def _other_test_settings(given: Settings, wanted: Settings) -> Iterator[str]:
    for path in _TEST_SETTINGS:
        value = value_at(given, f"model.test_cfg.{path}", value_at(given, f"test_cfg.{path}"))
        here = value_at(wanted, f"test_cfg.{path}")
        if value is not None and value != here:
            yield f"model.test_cfg.{path} of the checkpoint is {_shown(value)}; here it is {here}"


def _compare_pixels(given: Settings, wanted: Settings, found: Comparison) -> None:
    """Let the first convolution take the pixels of the detector, if that is exactly possible.

    With other means it is not: zero padding would stand for another colour.
    """
    theirs, ours = pixels_of(given), pixels_in(wanted)
    assert ours is not None
    if theirs is None or theirs == ours:
        return
    order = "RGB" if theirs.is_rgb else "BGR"
    described = f"pixels in the order {order} with deviations {theirs.std}"
    if any(abs(a - b) > 0.01 for a, b in zip(theirs.mean, ours.mean, strict=True)):
        found.adaptable.append(
            f"data_preprocessor.mean: {theirs.mean} of red, green and blue, here {ours.mean}"
        )
        return
    name = "backbone.conv1.weight" if "backbone.conv1.weight" in found.state else "conv1.weight"
    weight = found.state.get(name)
    if weight is not None:
        found.state[name] = for_our_pixels(weight, theirs, ours)
        found.notes.append(f"{name} was converted: the checkpoint's detector takes {described}")


def _shown(value: Any) -> str:
    """A value from a file, which may be of any length, for a message."""
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _plain(value: Any) -> Any:
    """A value without its registry's scope, lists and tuples alike."""
    if isinstance(value, str):
        return value.rpartition(".")[2]
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
